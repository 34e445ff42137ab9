"""Words are put where their tokens are heard, and sound that is nobody's stays between them."""

from itertools import product

import numpy as np
import pytest

from yivideo_pipeline.speech.align.best_path import FRAME_S, GAP_ENTRY, find_word_times

BOUNDS = np.array([0, 1, 2])


def attention(*places: tuple[int, int, int, float]) -> np.ndarray:
    """Scores of two tokens over 1.2 s: each place is (token, first frame, last frame, score)."""
    scores = np.full((2, 120), 0.02)
    for token, first, last, score in places:
        scores[token, first:last] = score
    return scores


def silence(*pauses: tuple[int, int]) -> np.ndarray:
    found = np.zeros(120)
    for first, last in pauses:
        found[first:last] = 1
    return found


def test_a_hesitation_between_two_pauses_belongs_to_no_word():
    # The second word attends to the hesitation a little, as Whisper's do, and to its own sound much.
    scores = attention((0, 0, 30, 0.5), (1, 40, 75, 0.2), (1, 85, 120, 0.8))
    times = find_word_times(scores, silence((30, 40), (75, 85)), BOUNDS, gap_cost=0.1)
    assert times == pytest.approx(np.array([[0, 0.30], [0.85, 1.2]]), abs=FRAME_S)


def test_a_word_that_is_heard_weakly_keeps_its_sound():
    scores = attention((0, 0, 30, 0.5), (1, 40, 120, 0.2))
    times = find_word_times(scores, silence((30, 40)), BOUNDS, gap_cost=0.1)
    assert times == pytest.approx(np.array([[0, 0.30], [0.40, 1.2]]), abs=FRAME_S)


def test_words_without_a_pause_share_their_boundary():
    scores = attention((0, 0, 50, 0.5), (1, 50, 120, 0.5))
    times = find_word_times(scores, silence(), BOUNDS, gap_cost=0.1)
    assert times == pytest.approx(np.array([[0, 0.50], [0.50, 1.2]]), abs=FRAME_S)


def test_words_without_tokens_have_no_time():
    times = find_word_times(attention((1, 0, 120, 0.5)), silence(), np.array([0, 1, 1, 2]), gap_cost=0.1)
    assert np.isnan(times[1]).all()
    assert not np.isnan(times[[0, 2]]).any()


@pytest.mark.parametrize("seed", range(8))
def test_no_other_way_to_put_the_words_fits_better(seed: int):
    """Tried out: two words of two tokens and one in eight frames of sound."""
    scores, gap_cost = np.random.default_rng(seed).normal(0, 3, (3, 8)), 0.5
    fits = {}
    for lengths in product(range(7), repeat=6):  # of gap, two tokens, gap, token, gap
        if sum(lengths) == 8 and all(lengths[state] for state in (1, 2, 4)):
            states = np.repeat([-1, 0, 1, -1, 2, -1], lengths)
            gaps = sum(lengths[gap] > 0 for gap in (0, 3, 5))
            heard = sum(scores[token, at] if token >= 0 else -gap_cost for at, token in enumerate(states))
            fits[tuple(states)] = heard - gaps * GAP_ENTRY
    best = np.array(max(fits, key=lambda states: fits[states]))
    times = find_word_times(scores, np.zeros(8), np.array([0, 2, 3]), gap_cost)
    words = [np.flatnonzero((best == 0) | (best == 1)), np.flatnonzero(best == 2)]
    expected = [[frames[0] * FRAME_S, (frames[-1] + 1) * FRAME_S] for frames in words]
    assert times == pytest.approx(np.array(expected))
