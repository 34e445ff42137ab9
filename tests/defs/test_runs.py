"""The tags of runs: by which people filter, and the reaper finds the worker."""

import pytest

from tests.defs.multi_runs import add_videos, run_range
from yivideo_pipeline.defs.instance import WORKER_TAG
from yivideo_pipeline.ledger.alive import worker_of_this_process


def test_the_run_of_one_video_names_video_model_language_and_trigger(pipeline):
    pipeline.add("talk.mp4")
    done = pipeline.run(speech={"model_name": "tiny"}, tags={"yivideo/trigger": "cli"})
    tags = pipeline.instance.get_run_by_id(done.run_id).tags
    assert tags["yivideo/video"] == "talk.mp4"
    assert tags["yivideo/model"] == "tiny"
    assert tags["yivideo/language"] == "en"
    assert tags["yivideo/trigger"] == "cli"
    assert tags[WORKER_TAG] == worker_of_this_process()


@pytest.mark.parametrize(
    ("given", "trigger"),
    [
        ({}, "ui"),
        ({"dagster/backfill": "abc"}, "backfill"),
        ({"dagster/backfill": "abc", "dagster/schedule_name": "nightly"}, "schedule"),
        ({"dagster/sensor_name": "watch"}, "sensor"),
        ({"dagster/backfill": "abc", "yivideo/trigger": "schedule"}, "schedule"),
    ],
)
def test_the_trigger_of_a_run_is_known_by_its_tags(pipeline, given, trigger):
    add_videos(pipeline, "a.mp4", broken=["a.mp4"])
    tags = run_range(pipeline, "a.mp4", "a.mp4", ["video"], given).tags
    assert tags["yivideo/trigger"] == trigger
    assert tags[WORKER_TAG] == worker_of_this_process()
    assert "yivideo/video" not in tags


def test_a_run_that_begins_later_is_tagged_as_well(pipeline):
    add_videos(pipeline, "a.mp4")
    run_range(pipeline, "a.mp4", "a.mp4")
    tags = run_range(pipeline, "a.mp4", "a.mp4", ["alignment", "subtitles"]).tags
    assert tags["yivideo/model"] == "base"


def test_a_worker_that_takes_a_run_over_names_itself(pipeline):
    add_videos(pipeline, "a.mp4")
    tags = run_range(pipeline, "a.mp4", "a.mp4", ["video"], {WORKER_TAG: "elsewhere:1:1.00"}).tags
    assert tags[WORKER_TAG] == worker_of_this_process()
