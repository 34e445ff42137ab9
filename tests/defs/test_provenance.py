"""What Dagster's UI calls stale, and why."""

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from tests.defs.pipeline import SAMPLE
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.stages import STAGES


def stale(pipeline) -> dict[str, StaleStatus]:
    resolver = CachingStaleStatusResolver(
        pipeline.instance,
        build_definitions(pipeline.resources).resolve_asset_graph(),
        LoadingContextForTest(pipeline.instance),
    )
    return {stage: resolver.get_status(dg.AssetKey(stage), "talk.mp4") for stage in STAGES}


def rerun(pipeline, *assets: str, **config) -> bool:
    job = pipeline.job
    return job.execute_in_process(
        instance=pipeline.instance,
        partition_key="talk.mp4",
        asset_selection=[dg.AssetKey(asset) for asset in assets],
        run_config={
            "resources": {"launch": {"config": config}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        raise_on_error=False,
    ).success


@pytest.fixture
def done(pipeline):
    pipeline.add("talk.mp4")
    assert pipeline.run().success
    return pipeline


def test_after_a_run_all_is_fresh(done):
    assert set(stale(done).values()) == {StaleStatus.FRESH}


def test_the_same_content_again_leaves_all_fresh(done):
    assert rerun(done, "video")
    assert set(stale(done).values()) == {StaleStatus.FRESH}


def test_a_replaced_video_makes_one_stage_after_the_other_stale(done):
    done.add("talk.mp4", SAMPLE.with_name("lighthouse-60s.mkv"))
    for stage, following in zip(STAGES, [*list(STAGES)[1:], None], strict=True):
        assert rerun(done, stage)
        assert following is None or stale(done)[following] == StaleStatus.STALE
    assert set(stale(done).values()) == {StaleStatus.FRESH}


def test_another_text_makes_the_alignment_stale(done):
    assert rerun(done, "transcript", speech={"language": "zh"})
    assert [stage for stage, status in stale(done).items() if status == StaleStatus.STALE] == ["alignment"]


def test_a_raised_code_version_makes_its_stage_stale(done, raise_version):
    raise_version("transcript")
    assert [stage for stage, status in stale(done).items() if status == StaleStatus.STALE] == ["transcript"]


def test_a_single_asset_can_be_made_from_what_is_there(done):
    assert rerun(done, "subtitles", subtitles={"formats": ["vtt"]})
    assert (done.inbox / "talk.en.vtt").is_file()
    assert set(stale(done).values()) == {StaleStatus.FRESH}


def test_an_asset_without_its_input_says_what_to_do_first(pipeline):
    pipeline.add("talk.mp4")
    pipeline.instance.add_dynamic_partitions("videos", ["talk.mp4"])
    assert not rerun(pipeline, "transcript")
    run = pipeline.instance.get_runs(limit=1)[0]
    failure = pipeline.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)[0]
    assert "Materialize audio first" in failure.dagster_event.step_failure_data.user_failure_data.description


def test_stages_of_different_contents_are_not_mixed(done):
    done.add("talk.mp4", SAMPLE.with_name("lighthouse-60s.mkv"))
    assert rerun(done, "video", "audio")
    assert not rerun(done, "alignment")
