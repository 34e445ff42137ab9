from uuid import uuid4

import dagster as dg
import pytest

from yivideo_pipeline.defs.backfills.selection import read_state
from yivideo_pipeline.defs.dagster_internals import job_origin, open_attempts
from yivideo_pipeline.errors.tree import ModelLoadError
from yivideo_pipeline.stages import JOB, STAGES, VIDEOS


@pytest.fixture
def job(pipeline):
    return pipeline.job


def queue(pipeline, job, key):
    """A run as the UI creates it: its plan is logged when it is created."""
    pipeline.instance.add_dynamic_partitions(VIDEOS, [key])
    return pipeline.instance.create_run_for_job(
        job_def=job,
        run_id=str(uuid4()),
        status=dg.DagsterRunStatus.QUEUED,
        tags={"dagster/partition": key},
        remote_job_origin=job_origin(JOB),
    )


def dagsters_own(instance, stage):
    storage = instance.event_log_storage
    found = storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        dg.AssetKey(stage)
    )
    return {(key, run_id) for key, (run_id, _) in found.items()}


def test_the_query_finds_what_dagsters_own_method_finds(pipeline, job):
    for name in ("good.mp4", "bad.mp4", "again.mp4", "now.mp4"):
        pipeline.add(name)
    pipeline.speech.fail_with = [ModelLoadError("no")]
    assert not pipeline.run("bad.mp4").success
    pipeline.speech.fail_with = [ModelLoadError("no")]
    assert not pipeline.run("again.mp4").success
    assert pipeline.run("again.mp4").success
    assert pipeline.run("good.mp4").success
    queue(pipeline, job, "now.mp4")
    queue(pipeline, job, "good.mp4")
    expected = set().union(*(dagsters_own(pipeline.instance, stage) for stage in STAGES))
    assert len(expected) == 3
    assert open_attempts(pipeline.instance, STAGES) == expected
    assert open_attempts(pipeline.instance, ["audio"]) == dagsters_own(pipeline.instance, "audio")


def test_a_new_video_is_neither_made_nor_failed_nor_under_way(pipeline):
    pipeline.instance.add_dynamic_partitions(VIDEOS, ["new.mp4"])
    state = read_state(pipeline.instance)
    assert list(state.registered) == ["new.mp4"]
    assert not state.made | state.failed | state.under_way


def test_a_video_has_failed_until_it_goes_well(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [ModelLoadError("no")]
    pipeline.run()
    assert read_state(pipeline.instance).failed == {"talk.mp4"}
    pipeline.run()
    assert read_state(pipeline.instance).failed == set()
    assert read_state(pipeline.instance).made == {"talk.mp4"}


def test_a_video_that_was_made_and_failed_since_has_failed(pipeline):
    pipeline.add("talk.mp4")
    pipeline.run()
    pipeline.speech.fail_with = [ModelLoadError("no")]
    pipeline.run(speech={"language": "zh"})
    state = read_state(pipeline.instance)
    assert (state.failed, state.made) == ({"talk.mp4"}, {"talk.mp4"})


def test_a_queued_run_is_under_way_and_a_cancelled_one_is_not(pipeline, job):
    run = queue(pipeline, job, "talk.mp4")
    assert read_state(pipeline.instance).under_way == {"talk.mp4"}
    pipeline.instance.report_run_canceled(run)
    state = read_state(pipeline.instance)
    assert not state.under_way | state.failed
