"""The contract of what gives recognized text its first word times, and what passes through it."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ
from yivideo_pipeline.settings.options import Task
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.words import spoken_characters


@dataclass(frozen=True)
class Encoded:
    """Chunks with their samples, speech probabilities and the model's encoder output.

    `sounds` are float32 at 16 kHz, `activities` the probability of speech at each 10 ms, `view` a
    CTranslate2 view of shape (n, 1500, d).
    """

    chunks: tuple[Chunk, ...]
    sounds: tuple[np.ndarray, ...]
    activities: tuple[np.ndarray, ...]
    view: Any


@dataclass(frozen=True)
class TimedText:
    """Words of one chunk with start and end on the chunk's clock, shape (n, 2), and confidences."""

    words: tuple[str, ...]
    times: np.ndarray
    confidences: np.ndarray
    timed: np.ndarray  # bool: False where a word has no sound of its own and was put between others


class TextAligner(Protocol):
    """Finds when each word of a recognized text was said."""

    def align(
        self, encoded: Encoded, texts: list[str], language: str, task: Task = Task.TRANSCRIBE
    ) -> list[TimedText]:
        """Time the words of each chunk's text: what is said in the language, or its translation."""
        ...


# PART speech/spelling.py: Words as tokens: in the model's own pieces, or letter by letter.


def piece_tokens(tokenizer: Any, words: list[str]) -> tuple[list[int], np.ndarray]:
    """The words in the model's own tokens, and at which token each word begins, shape (n + 1,)."""
    return _concatenate([tokenizer.encode(word) for word in words])


def text_tokens(tokenizer: Any, words: list[str]) -> tuple[list[int], np.ndarray]:
    """The words' text as the model itself would write it, and at which token each word begins.

    A token may hold several words where a word is a character: those begin at the same token.
    """
    encoding = tokenizer.tokenizer.encode("".join(words), add_special_tokens=False)
    token_ends = np.array([end for _, end in encoding.offsets])
    word_starts = np.concatenate([[0], np.cumsum([len(word) for word in words])])[:-1]
    # A space before the word may stand in a token of its own or be left out of the offsets.
    spoken = [start + len(word) - len(word.lstrip()) for start, word in zip(word_starts, words, strict=True)]
    return encoding.ids, np.append(np.searchsorted(token_ends, spoken, side="right"), len(encoding.ids))


def word_confidences(probabilities: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Mean probability of each word's tokens, shape (n,).

    Args:
        probabilities: Probability of each token of `text_tokens`.
        bounds: Each word's first token, and the number of tokens at last, shape (n + 1,).
    """
    sums = np.concatenate([[0.0], np.cumsum(probabilities)])
    firsts = np.minimum(bounds[:-1], len(probabilities) - 1)
    lasts = np.maximum(bounds[1:], firsts + 1)
    return np.clip((sums[lasts] - sums[firsts]) / (lasts - firsts), 0, 1)


def letter_tokens(tokenizer: Any, words: list[str]) -> tuple[list[int], np.ndarray]:
    """The words' letters, a token each where the vocabulary has one, and each word's first token."""
    return _concatenate([_spell(tokenizer, spoken_characters(word)) for word in words])


def _spell(tokenizer: Any, letters: str) -> list[int]:
    """Tokens of a word's letters; the first one carries the space before the word."""
    tokens: list[int] = []
    for index, letter in enumerate(letters):
        spaced = tokenizer.encode(" " + letter) if index == 0 else []
        if len(spaced) == 1:
            tokens += spaced
        else:
            tokens += (tokenizer.encode(" ") if index == 0 else []) + tokenizer.encode(letter)
    return tokens


def _concatenate(rows: list[list[int]]) -> tuple[list[int], np.ndarray]:
    bounds = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(int)
    return [token for row in rows for token in row], bounds


# PART speech/edges.py: Moving word edges off silence: the sound itself says where a pause begins and ends.
#
# Whisper's attention lets the word behind a pause swallow it, since frames of silence belong to no
# token. Runs of low energy show where the pause truly lies. Thresholds were measured on read English
# speech against an HMM aligner (docs/alignment.md).

FRAME = 400  # 25 ms
HOP = 160  # 10 ms
PRE_EMPHASIS = 0.9
MIN_RUN_FRAMES = 10
REACH_S = 0.25  # a boundary farther from the silence than this is not of its making
LATENESS_COST = 0.3  # of a second into the silence, against a second away from it
LEAD_S = 0.02  # a word starts a little before its energy shows
TAIL_S = 0.05  # and sounds a little longer than its energy shows


def find_silences(sound: np.ndarray) -> list[tuple[float, float]]:
    """Runs of at least 0.1 s without energy: (start, end) in seconds, in order.

    Args:
        sound: float32 in -1..1, 16 kHz, shape (n,).
    """
    if len(sound) < FRAME:
        return []
    levels = levels_db(sound)
    low, high = np.quantile(levels, [0.05, 0.95])
    quiet = np.concatenate([[0], (levels < max(low + 6, high - 28)).astype(np.int8), [0]])
    edges = np.diff(quiet)
    half_window_s = (FRAME - HOP) / 2 / SAMPLE_RATE_HZ
    return [
        (start * HOP / SAMPLE_RATE_HZ + half_window_s, end * HOP / SAMPLE_RATE_HZ + half_window_s)
        for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
        if end - start >= MIN_RUN_FRAMES
    ]


def levels_db(sound: np.ndarray) -> np.ndarray:
    """Level of each 25 ms after pre-emphasis, every 10 ms, in dB of full scale."""
    emphasized = np.append(sound[0], sound[1:] - PRE_EMPHASIS * sound[:-1])
    power = np.concatenate([[0.0], np.cumsum(emphasized.astype(np.float64) ** 2)])
    starts = np.arange(0, len(sound) - FRAME + 1, HOP)
    return 10 * np.log10((power[starts + FRAME] - power[starts]) / FRAME + 1e-10)


def snap_to_silences(times: np.ndarray, silences: list[tuple[float, float]], duration_s: float) -> np.ndarray:
    """Move the boundary nearest to each silence onto it, then let each word ring out a little.

    Args:
        times: Start and end of each word in seconds, shape (n, 2), in order.
        silences: From `find_silences`, on the same clock.
        duration_s: Length of the sound.

    Returns:
        New times, shape (n, 2).
    """
    if not len(times):
        return times
    snapped = times.copy()
    for start, end in silences:
        boundaries = np.concatenate([snapped[:1, 0], (snapped[:-1, 1] + snapped[1:, 0]) / 2, snapped[-1:, 1]])
        distances = np.maximum(np.maximum(start - boundaries, boundaries - end), 0)
        near = distances <= REACH_S
        if not near.any():
            continue
        # The word behind a pause swallows it: of two boundaries near the pause, the earlier is meant.
        cost = distances + LATENESS_COST * np.clip(boundaries - start, 0, end - start)
        index = int(np.argmin(np.where(near, cost, np.inf)))
        if index > 0 and start > snapped[index - 1, 0]:
            snapped[index - 1, 1] = start
        if index < len(snapped) and end - LEAD_S < snapped[index, 1]:
            snapped[index, 0] = end - LEAD_S
    return ring_out(snapped, duration_s)


def ring_out(times: np.ndarray, duration_s: float) -> np.ndarray:
    """Let each word sound up to 50 ms on, at most half-way to the next; shape (n, 2)."""
    longer = times.copy()
    gaps = np.append(times[1:, 0], duration_s) - times[:, 1]
    longer[:, 1] += np.clip(gaps / 2, 0, TAIL_S)
    return longer
