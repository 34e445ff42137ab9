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
    """Return the score of each state at each frame, float32, shape (frames, states)."""
    tokens = scores[np.maximum(states, 0)].T - 0.5 * silence[:, np.newaxis]
    gap = np.maximum(1.5 * (2 * silence - 1), -0.5 * silence - gap_cost)
    return np.where(states < 0, gap[:, np.newaxis], tokens).astype(np.float32)


def _best_path(scores: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the state at each frame; a step stays, goes to the next state, or skips a silence."""
    frames, count = scores.shape
    silent = states < 0
    entry = np.where(silent, GAP_ENTRY, np.float32(0))[1:]
    skip = np.where(silent[1:-1] & ~silent[2:], np.float32(0), _NEVER)
    best = np.full(count, _NEVER)
    best[0], best[1] = scores[0, 0] - GAP_ENTRY, scores[0, 1]
    came = np.zeros((frames, count), np.int8)
    for frame in range(1, frames):
        moved = best.copy()
        step = best[:-1] - entry
        better = step > moved[1:]
        moved[1:][better] = step[better]
        came[frame, 1:][better] = 1
        jump = best[:-2] + skip
        better = jump > moved[2:]
        moved[2:][better] = jump[better]
        came[frame, 2:][better] = 2
        best = moved + scores[frame]
    state = count - 1 if best[-1] > best[-2] else count - 2
    path = np.empty(frames, np.int64)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= int(came[frame, state])
    return path
