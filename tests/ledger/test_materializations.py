from dataclasses import replace

import pytest

from yivideo_pipeline.ledger.materializations import Materialization

MADE = Materialization(
    "a.mp4",
    "transcript",
    stage_key="k1",
    recipe="1.aaaa",
    chosen=False,
    video_hash="h1",
    made_at=100.0,
    run_id="run1",
    reused=False,
    audio_s=60.0,
    measured_at=100.0,
    wall_s=6.0,
    rtfx=10.0,
    model="base",
    compute_type="int8",
    device="cpu",
)


@pytest.fixture
def made(ledger):
    return ledger.materializations


def test_what_was_made_last_is_told_by_stage(made):
    audio = replace(MADE, stage="audio", model=None, compute_type=None, device=None)
    made.note(audio)
    made.note(MADE)
    assert made.of("a.mp4") == {"audio": audio, "transcript": MADE}
    assert made.of("b.mp4") == {}


def test_finding_it_again_leaves_the_speed_of_the_making(made):
    made.note(MADE)
    found = replace(
        MADE, run_id="run2", made_at=200.0, reused=True, measured_at=None, wall_s=None, rtfx=None, model="x"
    )
    made.note(found)
    row = made.of("a.mp4")["transcript"]
    assert (row.run_id, row.made_at, row.reused) == ("run2", 200.0, True)
    assert (row.wall_s, row.rtfx, row.model, row.measured_at) == (6.0, 10.0, "base", 100.0)


def test_other_recipes_are_those_that_the_settings_no_longer_say(made):
    made.note(MADE)
    made.note(replace(MADE, key="b.mp4", recipe="1.bbbb"))
    made.note(replace(MADE, key="c.mp4", recipe="1.bbbb", chosen=True))
    made.note(replace(MADE, key="d.mp4", recipe="0.bbbb", chosen=True))
    made.note(replace(MADE, key="e.mp4", stage="audio", recipe="1.bbbb"))
    assert made.other_recipes("transcript", "1.aaaa") == ["b.mp4", "d.mp4"]


def test_a_code_version_is_compared_as_a_whole(made):
    made.note(replace(MADE, recipe="11.bbbb", chosen=True))
    made.note(replace(MADE, key="b.mp4", recipe="1_.bbbb", chosen=True))
    assert made.other_recipes("transcript", "1.aaaa") == ["a.mp4", "b.mp4"]


def test_speeds_are_of_one_model_on_one_device_the_newest_first(made):
    for number, key in enumerate("abcd"):
        made.note(replace(MADE, key=key, measured_at=float(number), rtfx=float(number)))
    made.note(replace(MADE, key="e", model="tiny"))
    made.note(replace(MADE, key="f", device="cuda"))
    made.note(replace(MADE, key="g", rtfx=None))
    assert made.speeds("transcript", "base", "cpu", limit=3) == [3.0, 2.0, 1.0]
    assert made.speeds("audio", "base", "cpu", limit=3) == []


def test_speeds_of_a_stage_without_a_model_are_found(made):
    made.note(replace(MADE, stage="audio", model=None, device=None))
    assert made.speeds("audio", None, None, limit=3) == [10.0]


def test_durations_are_told_where_they_are_known(made):
    made.note(replace(MADE, stage="video", audio_s=None))
    made.note(MADE)
    made.note(replace(MADE, key="b.mp4", stage="video", audio_s=None))
    made.note(replace(MADE, key="c.mp4"))
    assert made.durations(["a.mp4", "b.mp4"]) == {"a.mp4": 60.0}
