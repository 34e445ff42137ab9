"""The checks run with the stages, for every video, whichever kind of run it is in."""

from contextlib import contextmanager

import dagster as dg
import pytest

from tests.defs.pipeline import SAMPLE
from tests.fake_speech import FakeEngine, FakeSpeech
from yivideo_pipeline.defs.checks.catalogue import CHECKS
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.ledger import Ledger
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


def run(pipeline, *keys: str) -> dg.ExecuteInProcessResult:
    pipeline.instance.add_dynamic_partitions(VIDEOS, keys)
    job = build_definitions(pipeline.resources).resolve_job_def(JOB)
    span = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    return job.execute_in_process(
        instance=pipeline.instance,
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


def test_a_good_video_passes_every_check(pipeline):
    pipeline.add("talk.mp4")
    (evaluations,) = results(run(pipeline, "talk.mp4")).values()
    assert set(evaluations) == NAMES
    assert failed(evaluations) == set()
    assert {one.metadata["video"].value for one in evaluations.values()} == {"talk.mp4"}


def test_in_a_run_of_several_every_video_has_every_result(pipeline):
    pipeline.add("a.mp4")
    pipeline.add("b.mkv", LONG_SAMPLE)
    found = results(run(pipeline, "a.mp4", "b.mkv"))
    assert {key: (set(of), failed(of)) for key, of in found.items()} == dict.fromkeys(
        ("a.mp4", "b.mkv", None), (NAMES, set())
    )


def test_a_materialization_names_the_checks_of_its_video(pipeline):
    pipeline.add("talk.mp4")
    run(pipeline, "talk.mp4")
    assert pipeline.metadata("subtitles")["failed_checks"].value == 0
    assert len(pipeline.metadata("subtitles")["checks"].records) == len(CHECKS["subtitles"])


@pytest.fixture
def backwards(pipeline):
    pipeline.use_speech(BackwardsSpeech())
    return pipeline


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


def test_a_file_that_cannot_be_read_back_is_not_delivered(pipeline):
    pipeline.add("talk.mp4")
    (delivered,) = pipeline.run().files
    storage = pipeline.resources["storage"]
    made = storage.find_latest("talk.mp4", "subtitles")
    with storage.scratch() as work:
        # As if this version had written it: what was damaged later is made again.
        (work / "subtitles.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\n")
        files = {"subtitles.srt": work / "subtitles.srt"}
        storage.save(made.video_hash, made.stage, made.key, made.document, files)
    delivered.unlink()
    again = pipeline.run()
    assert again.failure.kind == "check_failed"
    assert "files_read_back" in again.failure.message
    assert not delivered.exists()
