from dataclasses import replace

import pytest

from yivideo_pipeline.defs.backfills import plan
from yivideo_pipeline.defs.backfills.plan import Estimate, Estimator
from yivideo_pipeline.defs.backfills.selection import BackfillReason, Candidate, Selection
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.resolve import probe_hardware

SPEECH = SpeechOptions(model_name="base", device="cpu")
SPEEDS = {"audio": 100.0, "transcript": 4.0, "alignment": 20.0, "subtitles": 500.0}
"""Seconds of sound by second of work."""


@pytest.fixture
def made(pipeline):
    """Two videos that were made here: of 100 s and of 300 s."""
    return note(pipeline.resources["ledger"].materializations, "cpu")


@pytest.fixture
def gpu(monkeypatch):
    """The machine has a GPU."""
    here = replace(probe_hardware(), cuda_compute_types=frozenset({"float16"}))
    monkeypatch.setattr(plan, "probe_hardware", lambda: here)


def note(ledger, where):
    for key, audio_s in (("short", 100.0), ("long", 300.0)):
        for stage, rtfx in SPEEDS.items():
            model, device = ("base", where) if stage in ("transcript", "alignment") else (None, None)
            one = Materialization(
                key, stage, "k", "1.x", chosen=False, video_hash="h", made_at=1.0, run_id="r", reused=False,
                audio_s=audio_s, measured_at=1.0, wall_s=audio_s / rtfx, rtfx=rtfx, model=model,
                device=device,
            )  # fmt: skip
            ledger.note(one)
    return ledger


def estimator(made, speech=SPEECH):
    return Estimator(made, ["short", "long", "new"], speech)


def video(key, start="video"):
    return Candidate(key, BackfillReason.MISSING, start)


def test_it_is_the_sound_by_the_usual_speed_of_the_stages(made):
    expected_s = 300 / 100 + 300 / 4 + 300 / 20 + 300 / 500
    assert estimator(made).seconds(video("long")) == pytest.approx(expected_s)
    assert estimator(made).seconds(video("long", "subtitles")) == pytest.approx(300 / 500)


def test_a_video_of_unknown_length_counts_as_the_mean_of_all(made):
    total = estimator(made).total([video("short", "subtitles"), video("new", "subtitles")])
    assert total.work_s == pytest.approx(300 / 500)
    assert (total.audio_s, total.guessed) == (300.0, 1)


def test_a_length_that_was_read_from_the_file_is_no_guess(made):
    read = Estimator(made, ["short", "long", "new"], SPEECH, {"new": 50.0, "long": 1.0})
    assert read.total([video("new", "subtitles")]) == Estimate(50 / 500, 50.0, guessed=0)
    assert read.length_s(video("long")) == 300.0, "what was measured counts"


def test_the_models_use_no_gpu_on_a_cpu(made):
    assert estimator(made).gpu_seconds(video("long")) == 0.0
    assert estimator(made).gpu_seconds(video("nobody knows it")) == 0.0


def test_on_a_gpu_the_stages_with_a_model_use_it(pipeline, gpu):
    note(pipeline.resources["ledger"].materializations, "cuda")
    on_gpu = Estimator(
        pipeline.resources["ledger"].materializations, ["short", "long"], SpeechOptions(model_name="base")
    )
    assert on_gpu.gpu_seconds(video("long")) == pytest.approx(300 / 4 + 300 / 20)
    assert on_gpu.gpu_seconds(video("long", "subtitles")) == 0.0


def test_the_device_of_a_service_counts_where_it_is_known(pipeline):
    ledger = note(pipeline.resources["ledger"].materializations, "cuda")
    assert (ledger.last_device("base"), ledger.last_device("small")) == ("cuda", None)
    there = Estimator(ledger, ["long"], SpeechOptions(model_name="base"), device="cuda")
    assert there.gpu_seconds(video("long")) == pytest.approx(300 / 4 + 300 / 20)


def test_with_a_model_that_was_never_used_here_nothing_is_known(made):
    other = estimator(made, SpeechOptions(model_name="large-v3", device="cpu"))
    assert other.total([video("long")]) == Estimate(None, 300.0, guessed=0)
    assert other.seconds(video("long", "subtitles")) is not None


def test_before_anything_was_made_nothing_is_known(pipeline):
    nothing = Estimator(pipeline.resources["ledger"].materializations, ["new"], SPEECH)
    assert nothing.total([video("new")]) == Estimate(None, None, guessed=1)


def test_a_video_that_is_too_long_does_not_keep_a_short_one_out(made):
    both = Selection((video("long"), video("short")))
    ahead = estimator(made)
    only_short = ahead.seconds(video("short")) + 1
    assert [one.key for one in ahead.fit(both, only_short, unknown=20)] == ["short"]
    assert ahead.fit(both, 1.0, unknown=20) == []


def test_of_videos_that_nothing_is_known_of_as_many_are_taken_as_are_allowed(made):
    other = estimator(made, SpeechOptions(model_name="large-v3", device="cpu"))
    several = Selection(tuple(video(key) for key in ("short", "long", "new")))
    assert [one.key for one in other.fit(several, 3600.0, unknown=2)] == ["short", "long"]
