"""The cost of a stage is recorded once, when it ends, whichever kind of run it is in."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from tests import fake_speech
from tests.defs.multi_runs import add_videos, run_range
from yivideo_pipeline.errors.tree import MemoryExhausted, ModelLoadError
from yivideo_pipeline.remote.client import RemoteEngine
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.telemetry.measure import StageMetrics

FIGURES = (
    "wall_s", "cpu_s", "rtfx", "rss_peak_mb", "gpu_memory_peak_mb", "gpu_utilization_mean_pct", "attempts",
    "batch_size", "reused", "model", "compute_type", "device",
)  # fmt: skip
OF_ONE_STAGE = {
    "transcript": ("words", "low_confidence_words", "duration_s", "language"),
    "subtitles": ("confidence", "cues"),
}


def samples_of(pipeline, run_id: str) -> dict[tuple[str, str, bool], dict]:
    columns = pipeline.resources["ledger"].samples.samples()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    of_run = [row for row in rows if row["run_id"] == run_id]
    found = {(row["key"], row["stage"], bool(row["success"])): row for row in of_run}
    assert len(found) == len(of_run), "one sample of each stage of each video"
    return found


def assert_as_in_the_metadata(pipeline, key: str, samples) -> None:
    for stage in STAGES:
        metadata, sample = pipeline.metadata(stage, key), samples[key, stage, True]
        for name in (*FIGURES, *OF_ONE_STAGE.get(stage, ())):
            shown = metadata[name].value if name in metadata else None
            assert sample[name] == shown, (stage, name)


class FarEngine(fake_speech.FakeEngine, RemoteEngine):  # ty: ignore[incompatible-method-override]
    """As if the service did the work."""

    def __init__(self, options: SpeechOptions) -> None:
        fake_speech.FakeEngine.__init__(self, options)
        self.cost = StageMetrics(
            wall_s=1, cpu_s=1000, rss_peak_mb=100_000, rss_mean_mb=90_000, cpu_mean_pct=100, samples=2,
            gpu_memory_peak_mb=3000,
        )  # fmt: skip


class FarSpeech(fake_speech.FakeSpeech):
    @contextmanager
    def engine(self, options: SpeechOptions, background: bool = False) -> Generator[FarEngine]:
        yield FarEngine(options)


def test_what_the_service_did_costs_what_it_cost_there(pipeline):
    pipeline.use_speech(FarSpeech())
    pipeline.add("talk.mp4")
    samples = samples_of(pipeline, pipeline.run().run_id)
    transcript, audio = (samples["talk.mp4", stage, True] for stage in ("transcript", "audio"))
    assert 1000 < transcript["cpu_s"] < 1100
    assert (transcript["rss_peak_mb"], transcript["gpu_memory_peak_mb"]) == (100_000, 3000)
    assert audio["cpu_s"] < 1000
    assert audio["rss_peak_mb"] < 100_000, "this process did it"
    assert_as_in_the_metadata(pipeline, "talk.mp4", samples)


def test_a_run_of_one_video_records_the_figures_of_its_materializations(pipeline):
    pipeline.add("talk.mp4")
    done = pipeline.run()
    samples = samples_of(pipeline, done.run_id)
    assert list(samples) == [("talk.mp4", stage, True) for stage in STAGES]
    assert_as_in_the_metadata(pipeline, "talk.mp4", samples)
    sample = samples["talk.mp4", "transcript", True]
    assert (sample["root_id"], sample["trigger"], sample["run_model"]) == (done.run_id, "cli", "base")


def test_a_run_of_several_videos_records_the_same(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4", broken=["b.mp4"])
    run = run_range(pipeline, "a.mp4", "b.mp4")
    samples = samples_of(pipeline, run.run_id)
    assert set(samples) == {("b.mp4", "video", False), *(("a.mp4", stage, True) for stage in STAGES)}
    assert_as_in_the_metadata(pipeline, "a.mp4", samples)
    assert samples["b.mp4", "video", False]["kind"] == "media_unreadable"


def test_attempts_are_counted_and_not_recorded_one_by_one(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [MemoryExhausted("The GPU is full")] * 2
    samples = samples_of(pipeline, pipeline.run().run_id)
    assert samples["talk.mp4", "transcript", True]["attempts"] == 3
    assert all(success for _, _, success in samples)


def test_a_final_failure_is_recorded_with_its_reason(pipeline):
    pipeline.add("talk.mp4")
    pipeline.speech.fail_with = [ModelLoadError("The weights are damaged", "Fetch them again")]
    samples = samples_of(pipeline, pipeline.run().run_id)
    failure = samples["talk.mp4", "transcript", False]
    assert (failure["kind"], failure["message"]) == ("model_load", "The weights are damaged")
    assert (failure["hint"], failure["attempts"]) == ("Fetch them again", 1)
    assert ("talk.mp4", "transcript", True) not in samples


@pytest.mark.parametrize("several", [False, True], ids=["one video", "several videos"])
def test_what_a_check_blocks_is_recorded_as_made_and_as_failed(pipeline, monkeypatch, several):
    late = {"start_s": 900.0, "end_s": 901.0}
    monkeypatch.setattr(fake_speech, "shift_word", lambda word: word.model_copy(update=late))
    add_videos(pipeline, "a.mp4")
    run_id = run_range(pipeline, "a.mp4", "a.mp4").run_id if several else pipeline.run("a.mp4").run_id
    samples = samples_of(pipeline, run_id)
    assert samples["a.mp4", "alignment", True]["wall_s"] is not None
    assert samples["a.mp4", "alignment", False]["kind"] == "check_failed"
