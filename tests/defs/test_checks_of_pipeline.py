"""The checks run with the stages, for every video, whichever kind of run it is in."""

from contextlib import contextmanager

import dagster as dg
import pytest
from bench import SAMPLE
from fakes import FakeEngine, FakeSpeech

from yivideo_pipeline.defs.checks import CHECKS
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.stages import JOB, VIDEOS

NAMES = {check.name for checks in CHECKS.values() for check in checks}
SHORT_S = 20
LONG_SAMPLE = SAMPLE.with_name("lighthouse-60s.mkv")
ORDER = "words_are_timed_and_in_order"


class BackwardsEngine(FakeEngine):
    """Its alignment turns the words of a short video around, as no aligner may."""

    def align(self, audio, transcript, options, progress=None):
        if audio.duration_s > SHORT_S:
            return transcript
        segment = transcript.segments[0]
        turned = segment.model_copy(update={"words": segment.words[::-1]})
        return transcript.model_copy(update={"segments": (turned, *transcript.segments[1:])})


class BackwardsSpeech(FakeSpeech):
    @contextmanager
    def engine(self, options, background=False):
        yield BackwardsEngine(options)


def run(bench, *keys: str) -> dg.ExecuteInProcessResult:
    bench.instance.add_dynamic_partitions(VIDEOS, keys)
    job = build_definitions(bench.resources).resolve_job_def(JOB)
    span = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    return job.execute_in_process(
        instance=bench.instance,
        partition_key=keys[0] if len(keys) == 1 else None,
        tags=span if len(keys) > 1 else None,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )


def results(result: dg.ExecuteInProcessResult) -> dict[str | None, dict[str, dg.AssetCheckEvaluation]]:
    found: dict[str | None, dict[str, dg.AssetCheckEvaluation]] = {}
    for one in result.get_asset_check_evaluations():
        found.setdefault(one.partition, {})[one.check_name] = one
    return found


def failed(evaluations: dict[str, dg.AssetCheckEvaluation]) -> set[str]:
    return {name for name, one in evaluations.items() if not one.passed}


def test_a_good_video_passes_every_check(bench):
    bench.add("talk.mp4")
    (evaluations,) = results(run(bench, "talk.mp4")).values()
    assert set(evaluations) == NAMES
    assert failed(evaluations) == set()
    assert {one.metadata["video"].value for one in evaluations.values()} == {"talk.mp4"}


def test_in_a_run_of_several_every_video_has_every_result(bench):
    bench.add("a.mp4")
    bench.add("b.mkv", LONG_SAMPLE)
    found = results(run(bench, "a.mp4", "b.mkv"))
    assert {key: (set(of), failed(of)) for key, of in found.items()} == dict.fromkeys(
        ("a.mp4", "b.mkv", None), (NAMES, set())
    )


def test_a_materialization_tells_the_checks_of_its_video(bench):
    bench.add("talk.mp4")
    run(bench, "talk.mp4")
    assert bench.metadata("subtitles")["failed_checks"].value == 0
    assert len(bench.metadata("subtitles")["checks"].records) == len(CHECKS["subtitles"])


@pytest.fixture
def backwards(bench):
    bench.resources["speech"] = BackwardsSpeech()
    return bench


def test_words_in_disorder_stop_their_video_with_a_reason(backwards):
    backwards.add("talk.mp4")
    result = run(backwards, "talk.mp4")
    (evaluations,) = results(result).values()
    assert failed(evaluations) == {ORDER}
    failure = result.failure_data_for_node("alignment").user_failure_data
    assert failure.metadata["kind"].value == "check_failed"
    assert ORDER in str(failure.metadata["hint"].value)
    ledger: Ledger = backwards.resources["ledger"]
    assert ledger.failures.last("talk.mp4").kind == "check_failed"


def test_in_a_run_of_several_words_in_disorder_stop_no_neighbour(backwards):
    backwards.add("a.mp4")
    backwards.add("b.mkv", LONG_SAMPLE)
    result = run(backwards, "a.mp4", "b.mkv")
    assert failed(results(result)["a.mp4"]) == {ORDER}
    made = {
        event.partition
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("subtitles")
    }
    assert made == {"b.mkv"}


def test_a_file_that_cannot_be_read_back_is_not_delivered(bench):
    bench.add("talk.mp4")
    (delivered,) = bench.run().files
    made = bench.metadata("subtitles")["artifact"].value
    (bench.settings.home / "artifacts" / made / "subtitles.srt").write_text(
        "1\n00:00:01,000 --> 00:00:02,000\n"
    )
    delivered.unlink()
    again = bench.run()
    assert again.failure.kind == "check_failed"
    assert "files_read_back" in again.failure.message
    assert not delivered.exists()
