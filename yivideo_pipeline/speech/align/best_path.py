"""The best path of tokens through time, with gaps allowed before, between and after words."""

from itertools import pairwise

import numpy as np

FRAME_S = 0.01
GAP_ENTRY = np.float32(3.0)  # cost of entering a gap
_NEVER = np.float32(-1e9)


def find_word_times(
    scores: np.ndarray, silence: np.ndarray, bounds: np.ndarray, gap_cost: float
) -> np.ndarray:
    """Return start and end of each word in seconds, shape (n, 2); NaN for words without a token.

    Every token takes at least one frame of 10 ms, tokens come in order, and a gap may stand before,
    between and after words. Where silence is likely a gap scores higher than any token, elsewhere it
    lowers the score.

    Args:
        scores: How well each token fits each frame, shape (tokens, frames).
        silence: How likely each frame is silent, 0 to 1, shape (frames,).
        bounds: Index of each word's first token, then the number of tokens, shape (n + 1,).
        gap_cost: What a frame of sound costs that belongs to no word.
    """
    states = _lay_out_states(bounds)
    if scores.shape[0] == 0 or scores.shape[1] < scores.shape[0]:
        return np.full((len(bounds) - 1, 2), np.nan)
    path = _best_path(_state_scores(scores, silence, states, gap_cost), states)
    at = states[path]
    times = np.full((len(bounds) - 1, 2), np.nan)
    for word, (first, last) in enumerate(pairwise(bounds)):
        frames = np.flatnonzero((at >= first) & (at < last))
        if len(frames):
            times[word] = frames[0] * FRAME_S, (frames[-1] + 1) * FRAME_S
    return times


def _lay_out_states(bounds: np.ndarray) -> np.ndarray:
    """Return the token of each state in order, -1 for silence: one before each word and one at the end."""
    return np.append(np.insert(np.arange(bounds[-1]), bounds[:-1], -1), -1)


def _state_scores(scores: np.ndarray, silence: np.ndarray, states: np.ndarray, gap_cost: float) -> np.ndarray:
    """Return the score of each state at each frame, shape (states, frames)."""
    tokens = scores[np.maximum(states, 0)] - 0.5 * silence
    gap = np.maximum(1.5 * (2 * silence - 1), -0.5 * silence - gap_cost)
    return np.where(states[:, np.newaxis] < 0, gap, tokens)


def _best_path(scores: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the state at each frame; a step stays, goes to the next state, or skips a silence.

    One state after the other, for all frames at once: there are five times fewer states. A path that enters
    a state at frame u and is still there at t has what it had, and the state's scores from u to t; the best
    u for each t is where that, less all scores before u, is largest.
    """
    count, frames = scores.shape
    silent = states < 0
    sums = np.concatenate([np.zeros((count, 1)), np.cumsum(scores, axis=1, dtype=np.float64)], axis=1)
    entered = np.full((count, frames), -np.inf)  # best path to enter a state at a frame, less the sums before
    totals = np.empty((count, frames))  # best path to be in a state at a frame
    entered[0, 0], entered[1, 0] = -GAP_ENTRY, 0.0
    for state in range(count):
        if state:
            come = totals[state - 1, :-1] - (GAP_ENTRY if silent[state] else 0.0)
            if state > 1 and silent[state - 1] and not silent[state]:
                come = np.maximum(come, totals[state - 2, :-1])
            entered[state, 1:] = come - sums[state, 1:-1]
        totals[state] = np.maximum.accumulate(entered[state]) + sums[state, 1:]
    return _trace_back(entered, totals, silent)


def _trace_back(entered: np.ndarray, totals: np.ndarray, silent: np.ndarray) -> np.ndarray:
    """Return the state at each frame of the best path, which ends in the last state or the one before."""
    count, frames = totals.shape
    path = np.empty(frames, np.int64)
    state = count - 1 if totals[-1, -1] > totals[-2, -1] else count - 2
    end = frames
    while end:
        start = int(np.argmax(entered[state, :end]))
        path[start:end] = state
        end = start
        before = start - 1
        can_skip = state > 1 and silent[state - 1] and not silent[state]
        skips = can_skip and totals[state - 2, before] > totals[state - 1, before]
        state -= 2 if skips else 1
    return path
