"""Packing speech into windows: nothing lost, nothing twice, every time traceable to the sound."""

from bisect import bisect_right
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio, write_wav
from yivideo_pipeline.speech.chunks import WINDOW_S, Chunk, plan_chunks
from yivideo_pipeline.speech.types import Span
from yivideo_pipeline.speech.vad import HOP_S

RAMP_S = 2.0  # int16 can number this much of a sound, each sample with a value of its own


@st.composite
def spans_of_sounds(draw) -> tuple[tuple[Span, ...], float]:
    """Spans on frames, in order and apart, some longer than a window, and the sound's length."""
    lengths = draw(st.lists(st.tuples(st.integers(5, 200), st.integers(4, 2200)), max_size=25))
    spans, frame = [], 0
    for pause, length in lengths:
        start = frame + pause
        frame = start + length
        spans.append(Span(start_s=start * HOP_S, end_s=frame * HOP_S))
    return tuple(spans), frame * HOP_S + draw(st.floats(0, 3))


def plan(spans: tuple[Span, ...], duration_s: float, probabilities: np.ndarray | None = None) -> list[Chunk]:
    if probabilities is None:
        probabilities = np.full(int(duration_s / HOP_S) + 1, 0.9)
    return plan_chunks(spans, probabilities, HOP_S, duration_s)


def talk(*edges_s: tuple[float, float]) -> tuple[Span, ...]:
    return tuple(Span(start_s=start, end_s=end) for start, end in edges_s)


@given(spans_of_sounds())
def test_every_moment_of_speech_is_in_exactly_one_chunk(case):
    spans, duration_s = case
    pieces = [piece for chunk in plan(spans, duration_s) for piece in chunk.pieces]
    for before, behind in pairwise(pieces):
        assert before.end_s <= behind.start_s + 1e-6
    for span in spans:
        inside = sum(
            max(0.0, min(span.end_s, piece.end_s) - max(span.start_s, piece.start_s)) for piece in pieces
        )
        assert inside == pytest.approx(span.end_s - span.start_s, abs=1e-5)


@given(spans_of_sounds())
def test_no_chunk_is_longer_than_a_window_or_outside_the_sound(case):
    spans, duration_s = case
    for chunk in plan(spans, duration_s):
        assert 0 < chunk.duration_s <= WINDOW_S + 1e-6
        assert chunk.start_s >= 0
        assert chunk.end_s <= duration_s


@given(spans_of_sounds(), st.floats(0, 1), st.floats(0, 3))
def test_a_time_in_a_piece_is_traced_back_exactly_and_in_order(case, share, length):
    for chunk in plan(*case):
        starts = np.cumsum([0.0] + [piece.end_s - piece.start_s for piece in chunk.pieces])
        at = share * chunk.duration_s
        index = min(bisect_right(starts.tolist(), at) - 1, len(chunk.pieces) - 1)
        end = min(at + length, starts[index + 1])
        if end <= at:
            continue
        found = chunk.to_source(at, end)
        begin_s = chunk.pieces[index].start_s - starts[index]
        assert found == pytest.approx((begin_s + at, begin_s + end), abs=1e-6)


@given(spans_of_sounds(), st.lists(st.floats(0, WINDOW_S), min_size=2, max_size=30, unique=True))
def test_words_in_order_stay_in_order_and_inside_one_piece(case, edges):
    for chunk in plan(*case):
        times = sorted(min(edge, chunk.duration_s) for edge in edges)
        found = [chunk.to_source(start, end) for start, end in pairwise(times)]
        for start_s, end_s in found:
            assert start_s <= end_s + 1e-9
            assert any(piece.start_s <= start_s and end_s <= piece.end_s for piece in chunk.pieces)
        for (_, end_s), (start_s, _) in pairwise(found):
            assert end_s <= start_s + 1e-6


def test_a_word_over_a_seam_does_not_last_as_long_as_the_silence_cut_out_there():
    (chunk,) = plan(talk((1, 5), (65, 70)), 80)
    seam = 4.8  # 0.6 to 5.4, then from 64.6 on
    assert chunk.to_source(seam - 0.3, seam + 0.9) == pytest.approx((64.6, 65.5))
    assert chunk.to_source(seam - 0.9, seam + 0.3) == pytest.approx((4.5, 5.4))


def test_what_is_read_is_the_sound_that_times_are_traced_back_to(tmp_path):
    # Each sample carries its own number, so that the sound itself says where a piece came from.
    samples = np.arange(round(RAMP_S * SAMPLE_RATE_HZ), dtype=np.int16)
    audio = write_wav(tmp_path / "ramp.wav", samples)
    chunk = Chunk(talk((0.1, 0.5), (0.9, 1.0), (1.62, 1.97)))
    read = np.round(chunk.read(audio) * 32768).astype(int)
    assert len(read) == round(chunk.duration_s * SAMPLE_RATE_HZ)
    for sample in range(0, len(read) - 1, 37):
        start_s, _ = chunk.to_source(sample / SAMPLE_RATE_HZ, (sample + 1) / SAMPLE_RATE_HZ)
        assert abs(start_s * SAMPLE_RATE_HZ - read[sample]) < 1e-6


def test_chunks_of_a_long_ramp_read_in_turn_hold_each_sample_once(tmp_path):
    samples = (np.arange(100 * SAMPLE_RATE_HZ) // 100).astype(np.int16)  # ten ms have one value
    audio: Audio = write_wav(tmp_path / "ramp.wav", samples)
    chunks = plan(talk((0, 100)), 100)
    assert len(chunks) > 3
    joined = np.concatenate([chunk.read(audio) for chunk in chunks])
    assert np.array_equal(np.round(joined * 32768).astype(np.int16), samples)


def test_speech_without_a_pause_is_cut_where_speech_is_least_likely():
    probabilities = np.full(round(300 / HOP_S), 0.95)
    weak_s = [25.0, 48.0, 74.0, 97.0, 122.0, 150.0, 175.0, 200.0, 224.0, 250.0, 275.0]
    for second in weak_s:
        probabilities[round(second / HOP_S)] = 0.3
    chunks = plan(talk((0, 300)), 300, probabilities)
    cuts = [chunk.end_s for chunk in chunks[:-1]]
    assert all(min(abs(cut - second) for second in weak_s) < HOP_S for cut in cuts)


def test_chunks_are_cut_in_the_longest_pause_of_a_well_filled_window():
    edges = [(0, 6), (6.3, 12), (12.3, 18), (18.3, 22), (23, 26), (26.2, 29), (29.2, 35), (35.2, 41)]
    first = plan(talk(*edges), 42)[0]
    assert 22 < first.end_s < 23


def test_sparse_speech_packs_into_few_windows():
    spans = talk(*[(60.0 * minute, 60.0 * minute + 2) for minute in range(20)])
    chunks = plan(spans, 1200)
    assert len(chunks) == 2
    assert sum(len(chunk.pieces) for chunk in chunks) == 20


def test_speech_keeps_real_silence_around_it():
    (chunk,) = plan(talk((10, 12), (40, 41)), 60)
    assert [(piece.start_s, piece.end_s) for piece in chunk.pieces] == [
        pytest.approx((9.6, 12.4)),
        pytest.approx((39.6, 41.4)),
    ]


def test_no_speech_makes_no_chunk():
    assert plan((), 100) == []
