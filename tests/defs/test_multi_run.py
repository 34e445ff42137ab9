"""Runs over several videos: each one's success and failure for itself."""

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from tests import fake_speech
from tests.defs.multi_runs import add_videos, failed_rows, failure_of, made, observed, run_again, run_range
from yivideo_pipeline.defs import multi_run
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.partitions import videos
from yivideo_pipeline.errors.tree import DeviceLost, MemoryExhausted, ModelLoadError
from yivideo_pipeline.stages import STAGES

GOOD = ["a.mp4", "b.mp4", "d.mp4", "e.mp4"]
ALL = ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4"]


def stale(pipeline, key: str) -> set[StaleStatus]:
    resolver = CachingStaleStatusResolver(
        pipeline.instance,
        build_definitions(pipeline.resources).resolve_asset_graph(),
        LoadingContextForTest(pipeline.instance),
    )
    return {resolver.get_status(dg.AssetKey(stage), key) for stage in STAGES}


def failed_partitions(pipeline, stage: str) -> set[str]:
    """Return what Dagster calls failed, as the UI shows it."""
    cached = get_and_update_asset_status_cache_value(
        pipeline.instance, dg.AssetKey(stage), videos, pipeline.instance
    )
    return set(cached.deserialize_failed_partition_subsets(videos).get_partition_keys())


@pytest.fixture
def one_by_one(monkeypatch):
    """Let the first video be the first to fail."""
    monkeypatch.setattr(multi_run, "SIDE_BY_SIDE", 1)


@pytest.fixture(scope="module")
def one_broken(shared_pipeline):
    add_videos(shared_pipeline, *ALL, broken=["c.mp4"])
    return shared_pipeline, run_range(shared_pipeline, "a.mp4", "e.mp4")


def test_one_broken_video_of_five_fails_and_four_are_finished(one_broken):
    pipeline, run = one_broken
    assert run.status == dg.DagsterRunStatus.FAILURE
    for stage in STAGES:
        assert made(pipeline, stage) == GOOD, stage
    for key in GOOD:
        assert (pipeline.inbox / key).with_suffix(".en.srt").is_file()
        assert pipeline.metadata("subtitles", key)["files"].value == [
            str(pipeline.inbox / key[0]) + ".en.srt"
        ]
        assert pipeline.metadata("transcript", key)["words"].value > 5


def test_the_run_says_which_video_failed_where_and_why(one_broken):
    pipeline, run = one_broken
    failure = failure_of(pipeline, run)
    assert failure.description == "1 of 5 videos failed: c.mp4"
    (row,) = failed_rows(pipeline, run)
    assert (row["video"], row["stage"], row["kind"]) == ("c.mp4", "video", "media_unreadable")
    seen = observed(pipeline, "video", "c.mp4")
    assert seen["kind"] == "media_unreadable"
    assert seen["attempts"] == 1
    assert row["reason"] == seen["message"]


def test_good_videos_are_fresh_and_stale_once_the_code_changes(one_broken, raise_version):
    pipeline, _ = one_broken
    for key in GOOD:
        assert stale(pipeline, key) == {StaleStatus.FRESH}, key
    raise_version("alignment")
    assert StaleStatus.STALE in stale(pipeline, "a.mp4")


def test_dagster_calls_the_failed_video_failed_and_no_other(one_broken):
    pipeline, _ = one_broken
    for stage in STAGES:
        assert failed_partitions(pipeline, stage) == {"c.mp4"}, stage


@pytest.mark.usefixtures("one_by_one")
def test_a_failed_stage_in_the_middle_stops_one_video_only(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4")
    pipeline.speech.fail_with = [RuntimeError("flux capacitor")]
    run = run_range(pipeline, "a.mp4", "b.mp4")
    assert made(pipeline, "audio") == ["a.mp4", "b.mp4"]
    for stage in ("transcript", "alignment", "subtitles"):
        assert made(pipeline, stage) == ["b.mp4"]
    assert "flux capacitor" in failed_rows(pipeline, run)[0]["reason"]


@pytest.mark.usefixtures("one_by_one")
def test_what_may_pass_is_tried_again_after_all_others(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4", "c.mp4")
    pipeline.speech.fail_with = [MemoryExhausted("The GPU is full")]
    assert run_range(pipeline, "a.mp4", "c.mp4").status == dg.DagsterRunStatus.SUCCESS
    assert made(pipeline, "transcript") == ["b.mp4", "c.mp4", "a.mp4"]
    assert pipeline.metadata("transcript", "a.mp4")["attempts"].value == 2
    (earlier,) = pipeline.metadata("transcript", "a.mp4")["earlier_attempts"].records
    assert earlier.data["kind"] == "memory"
    assert earlier.data["message"] == "The GPU is full"
    assert "earlier_attempts" not in pipeline.metadata("transcript", "b.mp4")


def test_attempts_at_a_video_come_to_an_end(pipeline):
    add_videos(pipeline, "a.mp4")
    pipeline.speech.fail_with = [MemoryExhausted("The GPU is full")] * 9
    run = run_range(pipeline, "a.mp4", "a.mp4")
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert failed_rows(pipeline, run)[0]["attempts"] == 3
    assert pipeline.speech.loads == 3


def test_a_run_without_failures_succeeds(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4")
    assert run_range(pipeline, "a.mp4", "b.mp4").status == dg.DagsterRunStatus.SUCCESS
    assert not pipeline.resources["ledger"].failures.failed_in("")


def test_stages_can_be_run_by_themselves(pipeline):
    add_videos(pipeline, *ALL, broken=["c.mp4"])
    run_range(pipeline, "a.mp4", "e.mp4", ["video", "audio"])
    run = run_range(pipeline, "a.mp4", "e.mp4", ["transcript"])
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert made(pipeline, "transcript") == GOOD
    assert "Materialize audio first" in failed_rows(pipeline, run)[0]["what to do"]
    run_range(pipeline, "d.mp4", "e.mp4", ["alignment", "subtitles"])
    assert made(pipeline, "subtitles") == ["d.mp4", "e.mp4"]
    assert stale(pipeline, "d.mp4") == {StaleStatus.FRESH}


def test_the_last_selected_stage_reports_what_failed_before_it(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4", broken=["a.mp4"])
    run = run_range(pipeline, "a.mp4", "b.mp4", ["video", "audio", "transcript"])
    (failed,) = pipeline.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert failed.dagster_event.step_key == "transcript"


@pytest.mark.usefixtures("one_by_one")
def test_executed_again_a_run_tries_again_what_failed(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4")
    pipeline.speech.fail_with = [ModelLoadError("The weights are damaged")]
    first = run_range(pipeline, "a.mp4", "b.mp4")
    assert first.status == dg.DagsterRunStatus.FAILURE
    again = run_again(pipeline, first)
    assert again.status == dg.DagsterRunStatus.SUCCESS
    assert made(pipeline, "video") == ["a.mp4", "b.mp4"] * 2
    assert made(pipeline, "subtitles") == ["b.mp4", "a.mp4", "b.mp4"]


def test_executed_again_from_its_last_stage_a_run_still_names_what_failed_before(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4", broken=["a.mp4"])
    again = run_again(pipeline, run_range(pipeline, "a.mp4", "b.mp4"), ["subtitles"])
    assert again.status == dg.DagsterRunStatus.FAILURE
    (row,) = failed_rows(pipeline, again)
    assert (row["video"], row["stage"]) == ("a.mp4", "video")
    assert made(pipeline, "subtitles") == ["b.mp4", "b.mp4"]


@pytest.mark.usefixtures("one_by_one")
def test_a_blocking_check_fails_its_video_alone(pipeline, monkeypatch):
    add_videos(pipeline, "a.mp4", "b.mp4")
    shift, spoilt = fake_speech.shift_word, []

    def spoil_the_first(word):
        if len(spoilt) < 1:
            spoilt.append(word)
            return word.model_copy(update={"start_s": 900.0, "end_s": 901.0})
        return shift(word)

    monkeypatch.setattr(fake_speech, "shift_word", spoil_the_first)
    run = run_range(pipeline, "a.mp4", "b.mp4")
    (row,) = failed_rows(pipeline, run)
    assert (row["video"], row["stage"], row["kind"]) == ("a.mp4", "alignment", "check_failed")
    assert made(pipeline, "alignment") == ["a.mp4", "b.mp4"]
    assert made(pipeline, "subtitles") == ["b.mp4"]
    assert pipeline.metadata("alignment", "a.mp4")["failed_checks"].value == 1


def test_every_video_has_its_check_evaluations(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4")
    run = run_range(pipeline, "a.mp4", "b.mp4")
    logs = pipeline.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [entry.dagster_event.event_specific_data for entry in logs]
    for key in ("a.mp4", "b.mp4"):
        names = {one.check_name for one in evaluations if one.partition == key}
        assert {"files_read_back", "words_are_timed_and_in_order"} <= names


@pytest.mark.usefixtures("one_by_one")
def test_a_lost_gpu_ends_the_step_and_the_next_process_goes_on(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4", "c.mp4")
    pipeline.instance._settings["run_retries"] = {"enabled": True, "max_retries": 1}
    pipeline.speech.fail_with = [DeviceLost("The GPU fell off the bus")]
    first = run_range(pipeline, "a.mp4", "c.mp4")
    assert first.tags["dagster/will_retry"] == "true"
    assert made(pipeline, "transcript") == []
    second = run_again(pipeline, first, ["transcript", "alignment", "subtitles"])
    assert second.status == dg.DagsterRunStatus.SUCCESS
    assert made(pipeline, "subtitles") == ["a.mp4", "b.mp4", "c.mp4"]
    assert second.tags["dagster/retry_on_asset_or_op_failure"] == "false"


@pytest.mark.usefixtures("one_by_one")
def test_a_gpu_that_stays_lost_fails_its_videos_once_no_retry_is_left(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4")
    pipeline.speech.fail_with = [DeviceLost("The GPU fell off the bus")]
    run = run_range(pipeline, "a.mp4", "b.mp4")
    assert made(pipeline, "subtitles") == ["b.mp4"]
    assert failed_rows(pipeline, run)[0]["kind"] == "device_lost"
