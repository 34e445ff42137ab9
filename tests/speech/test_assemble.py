"""From timed chunks to sentences: every word has its time, none overlaps, sentences end where they end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.speech.make_sound import make_passage, spoken_words
from yivideo_pipeline.speech.assemble import MIN_WORD_S, build_segments, build_words, spread_untimed
from yivideo_pipeline.speech.types import Span


@st.composite
def timed_words(draw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times in order with overlaps taken out, some words untimed, and letters."""
    count = draw(st.integers(1, 25))
    steps = draw(
        st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.1, 0.5, 2.0]), min_size=2 * count, max_size=2 * count)
    )
    times = np.cumsum(steps).reshape(-1, 2)
    timed = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    letters = np.array(draw(st.lists(st.integers(0, 12), min_size=count, max_size=count)))
    return times, timed, letters


@given(timed_words())
def test_spread_words_are_in_order_without_overlap(case):
    spread, _ = spread_untimed(*case)
    flat = spread.reshape(-1)
    assert (np.diff(flat) >= -1e-9).all()


@given(timed_words())
def test_every_word_has_a_length_where_any_time_is_known(case):
    times, timed, letters = case
    spread, interpolated = spread_untimed(times, timed, letters)
    if not interpolated.all() or times[-1, 1] - times[0, 0] >= MIN_WORD_S * len(times):
        assert (spread[:, 1] > spread[:, 0]).all()


@given(timed_words())
def test_known_times_stay_unless_a_word_without_room_must_share_them(case):
    times, timed, letters = case
    spread, interpolated = spread_untimed(times, timed, letters)
    heard = timed & (times[:, 1] - times[:, 0] >= MIN_WORD_S)
    assert (interpolated == ~heard).all()
    for index in np.flatnonzero(heard):
        beside = interpolated[max(0, index - 1) : index + 2]
        if not beside.any():
            assert spread[index] == pytest.approx(times[index])
        assert spread[index, 0] >= times[index, 0] - 1e-9
        assert spread[index, 1] <= times[index, 1] + 1e-9


def test_a_word_without_a_time_fills_the_gap_it_stands_in():
    times = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 3.0]])
    spread, interpolated = spread_untimed(times, np.array([True, False, True]), np.array([3, 4, 3]))
    assert spread.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert interpolated.tolist() == [False, True, False]


def test_words_without_room_share_the_next_words_time_by_their_letters():
    times = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 2.0]])
    spread, _ = spread_untimed(times, np.array([True, False, True]), np.array([3, 1, 3]))
    assert spread[0].tolist() == [0, 1]
    assert spread[1:].reshape(-1) == pytest.approx([1.0, 1.25, 1.25, 2.0])


def test_last_words_without_room_share_the_time_of_the_word_before():
    times = np.array([[0.0, 1.0], [1.0, 1.0]])
    spread, _ = spread_untimed(times, np.array([True, False]), np.array([3, 1]))
    assert spread.reshape(-1) == pytest.approx([0.0, 0.75, 0.75, 1.0])


def test_words_say_where_their_times_come_from_and_keep_their_confidence():
    passage = make_passage([(" a", 0.0, 1.0), (" b", 1.0, 1.0), (" c", 2.0, 3.0)], timed=[True, False, True])
    words = [item.word for item in build_words(passage)]
    assert [word.source for word in words] == ["attention", "interpolated", "attention"]
    assert [word.confidence for word in words] == [0.9] * 3


def test_times_in_a_chunk_become_times_in_the_sound():
    pieces = (Span(start_s=10, end_s=12), Span(start_s=100, end_s=105))
    words = build_words(make_passage([(" here", 0.5, 1.5), (" there", 2.5, 3.0)], pieces))
    assert [(item.word.start_s, item.word.end_s) for item in words] == [(10.5, 11.5), (100.5, 101.0)]


def test_a_word_that_reaches_over_cut_out_silence_does_not_cover_it():
    pieces = (Span(start_s=10, end_s=12), Span(start_s=100, end_s=105))
    (late,) = build_words(make_passage([(" Printing", 1.8, 2.9)], pieces))
    assert (late.word.start_s, late.word.end_s) == (100.0, pytest.approx(100.9))


def texts(*words: tuple[str, float, float]) -> list[str]:
    return [segment.text for segment in build_segments(spoken_words(list(words)), 0.0)]


def in_a_row(text: list[str]) -> list[tuple[str, float, float]]:
    return [(word, float(i), i + 0.9) for i, word in enumerate(text)]


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        ([" Go.", " Now!", " Why?", " So…"], [" Go.", " Now!", " Why?", " So…"]),
        ([" He", " said", " “go.”", " Then"], [" He said “go.”", " Then"]),
        ([" Mr.", " Smith", " met", " Dr.", " J.", " Doe."], [" Mr. Smith met Dr. J. Doe."]),
        ([" cats,", " dogs,", " etc.", " and", " so"], [" cats, dogs, etc. and so"]),
        (
            [" At", " 5", " p.m.", " the", " U.S.", " team,", " e.g.", " Ann"],
            [" At 5 p.m. the U.S. team, e.g. Ann"],
        ),
        ([" 3.5", " of", " them"], [" 3.5 of them"]),
        (["你", "好。", "再", "见！", "走"], ["你好。", "再见！", "走"]),
        (["「走。」", "他", "说"], ["「走。」", "他说"]),
    ],
)
def test_sentences_end_at_full_stops_and_not_at_abbreviations(words, sentences):
    assert texts(*in_a_row(words)) == sentences


def test_a_long_pause_ends_a_sentence_and_a_short_one_does_not():
    assert texts((" a", 0, 1), (" b", 2.4, 3), (" c", 4.6, 5)) == [" a b", " c"]


def test_no_segment_is_longer_than_a_window():
    segments = build_segments(spoken_words(in_a_row([" word"] * 100)), 0.0)
    assert len(segments) == 4
    assert all(segment.end_s - segment.start_s <= 30 for segment in segments)


def test_the_sounds_offset_is_added_once_to_every_time():
    (segment,) = build_segments(spoken_words([(" a", 1.0, 2.0), (" b", 2.0, 3.0)]), 7.25)
    assert (segment.start_s, segment.end_s) == (8.25, 10.25)
    assert [(word.start_s, word.end_s) for word in segment.words] == [(8.25, 9.25), (9.25, 10.25)]


def test_a_word_ends_where_the_next_one_begins_at_the_latest():
    (segment,) = build_segments(spoken_words([(" a", 1.0, 2.5), (" b", 2.0, 3.0)]), 0.0)
    assert [(word.start_s, word.end_s) for word in segment.words] == [(1.0, 2.0), (2.0, 3.0)]


@given(
    st.lists(
        st.tuples(st.sampled_from([" a", " b.", "你", "好。"]), st.floats(0.01, 4)), min_size=1, max_size=60
    )
)
def test_segments_hold_every_word_once_in_order(steps):
    at, words = 0.0, []
    for text, length in steps:
        words.append((text, at, at + length / 2))
        at += length
    segments = build_segments(spoken_words(words), 3.0)
    assert [word.text for segment in segments for word in segment.words] == [text for text, _, _ in words]
    for segment in segments:
        assert segment.text == "".join(word.text for word in segment.words)
        assert (segment.start_s, segment.end_s) == (segment.words[0].start_s, segment.words[-1].end_s)
