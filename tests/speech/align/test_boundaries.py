"""Word boundaries are snapped to silence, on sound whose silences are known."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.speech.make_sound import noise, silence
from yivideo_pipeline.speech.align.boundaries import TAIL_S, find_silences, snap_to_silences
from yivideo_pipeline.speech.align.phrases import HIDDEN_TAIL_S, measure_tail

FRAME_S = 0.025


def loud_and_still(*seconds: float, still_level: float = 0.0) -> np.ndarray:
    """Loud noise and stillness in turn, float32, beginning loud."""
    parts = [noise(length, still_level if i % 2 else 0.2) for i, length in enumerate(seconds)]
    return np.concatenate(parts).astype(np.float32) / 32768


def word_times(duration_s: float) -> st.SearchStrategy[np.ndarray]:
    """Words in order: what an aligner hands on."""
    edges = st.lists(st.floats(0, duration_s), max_size=40).map(sorted)
    return edges.map(lambda row: np.array(row[: len(row) // 2 * 2]).reshape(-1, 2))


@pytest.mark.parametrize("still_level", [0.0, 0.0005])
def test_silences_are_found_where_they_are(still_level):
    sound = loud_and_still(1.0, 0.6, 2.0, 0.3, 1.0, still_level=still_level)
    found = find_silences(sound)
    assert len(found) == 2
    assert found[0] == pytest.approx((1.0, 1.6), abs=FRAME_S)
    assert found[1] == pytest.approx((3.6, 3.9), abs=FRAME_S)


def test_breaks_shorter_than_a_tenth_of_a_second_are_no_silence():
    assert len(find_silences(loud_and_still(1.0, 0.06, 1.0, 0.5, 1.0))) == 1


@pytest.mark.parametrize("count", [0, 1, 399])
def test_a_sound_shorter_than_a_frame_has_no_silence(count):
    assert find_silences(silence(1)[:count].astype(np.float32)) == []


def test_a_word_that_swallowed_the_pause_before_it_starts_where_sound_starts():
    times = np.array([[0.2, 1.0], [1.0, 2.4], [2.4, 2.9]])
    snapped = snap_to_silences(times, [(1.05, 1.9)], 3.0)
    assert snapped[0, 1] == pytest.approx(1.1, abs=0.06)
    assert snapped[1, 0] == pytest.approx(1.88, abs=0.03)
    assert snapped[1:, 1] == pytest.approx(times[1:, 1], abs=0.06)


def test_a_short_word_behind_a_pause_is_not_left_on_its_far_side():
    times = np.array([[0.2, 0.95], [0.95, 1.92], [1.92, 2.4]])  # "book", "the", "invention"
    snapped = snap_to_silences(times, [(1.0, 1.9)], 3.0)
    assert snapped[1, 0] == pytest.approx(1.88, abs=0.03)
    assert snapped[0, 1] < 1.1


def test_a_word_that_swallowed_the_pause_behind_it_ends_where_sound_ends():
    snapped = snap_to_silences(np.array([[0.2, 1.9], [1.9, 2.4]]), [(1.0, 1.85)], 3.0)
    assert snapped[0, 1] == pytest.approx(1.0, abs=0.06)
    assert snapped[1, 0] == pytest.approx(1.85, abs=0.06)


def test_the_first_and_the_last_word_leave_the_silence_around_speech():
    snapped = snap_to_silences(np.array([[0.0, 1.5], [1.5, 4.0]]), [(0.0, 1.0), (2.0, 4.0)], 4.0)
    assert snapped[0, 0] == pytest.approx(1.0, abs=0.03)
    assert snapped[1, 1] == pytest.approx(2.0, abs=0.06)


def test_a_silence_far_from_every_boundary_moves_nothing():
    times = np.array([[0.0, 3.0], [3.0, 4.0]])
    snapped = snap_to_silences(times, [(1.0, 2.0)], 4.0)
    assert snapped == pytest.approx(times, abs=0.06)


def test_no_words_stay_no_words():
    assert snap_to_silences(np.zeros((0, 2)), [(0.0, 1.0)], 1.0).shape == (0, 2)


@given(
    word_times(10),
    st.lists(st.floats(0, 10), max_size=12, unique=True).map(
        lambda row: [
            (a, b) for a, b in zip(sorted(row)[::2], sorted(row)[1::2], strict=False) if b - a >= 0.1
        ]
    ),
)
@example(np.array([[0.0, 0.0], [3.0, 3.0], [3.0, 3.0]]), [(2.0, 3.0)])  # the third began before the second
def test_words_keep_their_order_and_no_word_is_negative_or_outside(times, silences):
    snapped = snap_to_silences(times, silences, 10.0)
    assert (snapped[:, 0] <= snapped[:, 1] + 1e-9).all()
    assert (np.diff(snapped[:, 0]) >= -1e-9).all()
    assert (snapped >= -1e-9).all()
    assert (snapped <= 10.0 + 1e-9).all()


@pytest.mark.parametrize("gain", [0.05, 3.0])
def test_silence_is_distinguished_from_speech_at_any_level_of_the_recording(gain):
    (found,) = find_silences(loud_and_still(1.0, 0.6, 1.0) * gain)
    assert found == pytest.approx((1.0, 1.6), abs=FRAME_S)


@pytest.mark.parametrize(
    ("still_level", "tail_s"), [(0.0, TAIL_S), (0.0005, TAIL_S), (0.05, TAIL_S + HIDDEN_TAIL_S)]
)
def test_words_ring_out_longer_where_a_noise_floor_hides_their_decay(still_level, tail_s):
    sound = loud_and_still(1.0, 0.5, 1.0, 0.5, still_level=still_level)
    activity = np.repeat([1.0, 0.0, 1.0, 0.0], [100, 50, 100, 50])
    assert measure_tail(sound, activity) == pytest.approx(tail_s)
    assert measure_tail(sound[:0], activity[:0]) == TAIL_S
