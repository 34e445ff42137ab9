"""Word times from Whisper's own cross-attention.

Text is aligned letter by letter, not by the decoder's tokens, on the two heads that follow the
sound most sharply ("Whisper Has an Internal Word Aligner", arXiv:2509.09987); a constant takes out
the heads' lag; `boundaries` then moves word boundaries off silence. The tokens as the decoder wrote
them are aligned too, for their probabilities: a word's confidence.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ
from yivideo_pipeline.speech.align.boundaries import find_silences, snap_to_silences
from yivideo_pipeline.speech.align.text import (
    Encoded,
    WordTimings,
    letter_tokens,
    split_words,
    text_tokens,
    word_confidences,
)
from yivideo_pipeline.speech.whisper import ENCODER_FRAMES_PER_S, MAX_TOKENS, Decoding, Whisper

MAX_LETTERS = MAX_TOKENS - 12  # tokens of one alignment, with room for the prompt and the end
SLICE_MARGIN_S = 0.2


@dataclass(frozen=True)
class AttentionProfile:
    """Decoder heads (layer, head) that follow the sound, and their lag in seconds."""

    heads: tuple[tuple[int, int], ...] | None
    lag_s: float


# Heads and lags were measured for two models (docs/alignment.md). Others use the heads that their
# own config names, which lag about 0.02 s as a set.
PROFILES = {
    "base": AttentionProfile(((4, 2), (5, 1)), 0.03),
    "tiny.en": AttentionProfile(((2, 1), (2, 4)), 0.02),
}
UNMEASURED = AttentionProfile(None, 0.02)


class LetterAligner:
    """Recipe A: letters on CTranslate2's own alignment, boundaries snapped to silence; for any model.

    Args:
        whisper: The model, loaded with the profile's heads.
        lag_s: Added to every time that attention gives.
    """

    def __init__(self, whisper: Whisper, lag_s: float) -> None:
        self._whisper = whisper
        self._lag_s = lag_s

    def align(self, encoded: Encoded, texts: list[str], decoding: Decoding) -> list[WordTimings]:
        """Return the times of the words of each chunk's text; see `TextAligner.align`."""
        whisper, view, sounds = self._whisper, encoded.view, encoded.sounds
        tokenizer = whisper.tokenizer(decoding)
        frames = [max(2, min(3000, -(-len(sound) // 160))) for sound in sounds]
        words = [split_words(text) for text in texts]
        texts_read = [_truncate(*text_tokens(tokenizer, row)) for row in words]
        rough = whisper.align(view, decoding, [tokens for tokens, _ in texts_read], frames)
        letters = [letter_tokens(tokenizer, row) for row in words]
        fitting = [tokens if len(tokens) <= MAX_LETTERS else [] for tokens, _ in letters]
        exact = whisper.align(view, decoding, fitting, frames)
        timed = []
        for row, (tokens, bounds) in enumerate(letters):
            if len(tokens) <= MAX_LETTERS:
                times = _boundaries(exact[row].alignments, bounds)
            else:
                guide = _boundaries(rough[row].alignments, texts_read[row][1])
                guide = snap_to_silences(guide, find_silences(sounds[row]), len(sounds[row]) / SAMPLE_RATE_HZ)
                times = _align_slices(whisper, view, row, words[row], guide, decoding)
            confidences = word_confidences(np.array(rough[row].text_token_probs), texts_read[row][1])
            timed.append(_snapped_timings(words[row], times + self._lag_s, bounds, sounds[row], confidences))
        return timed


def _truncate(tokens: list[int], bounds: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Keep the tokens that the decoder has positions for, and the words' first tokens among them."""
    kept = tokens[:MAX_LETTERS]
    return kept, np.minimum(bounds, len(kept))


def _snapped_timings(
    words: list[str], times: np.ndarray, letter_bounds: np.ndarray, sound: np.ndarray, confidences: np.ndarray
) -> WordTimings:
    duration_s = len(sound) / SAMPLE_RATE_HZ
    audible = np.diff(letter_bounds) > 0
    ordered = np.maximum.accumulate(np.clip(times, 0, duration_s), axis=0) if len(times) else times
    snapped = ordered.copy()
    snapped[audible] = snap_to_silences(ordered[audible], find_silences(sound), duration_s)
    return WordTimings(tuple(words), snapped, confidences, audible)


def _boundaries(path: list[tuple[int, int]], bounds: np.ndarray) -> np.ndarray:
    """Start and end of each word in seconds, shape (n, 2), from a DTW path of (token, frame)."""
    if not path or len(bounds) < 2:
        return np.zeros((len(bounds) - 1, 2))
    tokens, frames = np.array(path).T
    firsts = frames[np.concatenate([[True], np.diff(tokens) > 0])] / ENCODER_FRAMES_PER_S
    reached = np.minimum(bounds, len(firsts) - 1)
    return np.stack([firsts[reached[:-1]], firsts[reached[1:]]], axis=1)


def _align_slices(
    whisper: Whisper,
    encoded: Any,
    row: int,
    words: list[str],
    guide: np.ndarray,
    decoding: Decoding,
) -> np.ndarray:
    """Align a chunk with more letters than the decoder has positions, in slices cut at pauses."""
    tokenizer = whisper.tokenizer(decoding)
    times = guide.copy()
    for first, last in _slices(tokenizer, words, guide):
        tokens, bounds = letter_tokens(tokenizer, words[first:last])
        start = max(0, int((guide[first, 0] - SLICE_MARGIN_S) * ENCODER_FRAMES_PER_S))
        end = max(start + 2, round((guide[last - 1, 1] + SLICE_MARGIN_S) * ENCODER_FRAMES_PER_S))
        if not tokens or len(tokens) > MAX_LETTERS:
            continue  # keep the guide's times: nothing spoken, or one word longer than the decoder
        spliced = whisper.splice(encoded, row, start, end)
        path = whisper.align(spliced, decoding, [tokens], [2 * (end - start)])[0].alignments
        times[first:last] = _boundaries(path, bounds) + start / ENCODER_FRAMES_PER_S
    return times


def _slices(tokenizer: Any, words: list[str], guide: np.ndarray) -> list[tuple[int, int]]:
    """Halve a run of words at its widest pause near the middle until each part fits the decoder."""
    pending, done = [(0, len(words))], []
    while pending:
        first, last = pending.pop()
        size = len(letter_tokens(tokenizer, words[first:last])[0])
        if size <= MAX_LETTERS or last - first < 4:
            done.append((first, last))
            continue
        low, high = first + (last - first) // 4 + 1, last - (last - first) // 4
        pauses = guide[low:high, 0] - guide[low - 1 : high - 1, 1]
        cut = low + int(np.argmax(pauses)) if pauses.max() > 0 else (first + last) // 2
        pending += [(first, cut), (cut, last)]
    return sorted(done)
