"""Word times from attention, phrase by phrase: the most exact recipe (docs/alignment.md, recipe B).

The aligner makes two passes over the decoder's cross-attention. The first reads the whole window in
the decoder's own tokens and finds the pauses; the second reads each phrase between pauses letter by
letter, against that phrase's part of the encoder output followed by encoded silence. It uses the heads
that follow the sound sharply, each shifted by its own lag; a Viterbi search with a silence state finds
the words. The method comes from "Whisper Has an Internal Word Aligner", arXiv:2509.09987.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ
from yivideo_pipeline.speech.align.best_path import FRAME_S, find_word_times
from yivideo_pipeline.speech.align.boundaries import TAIL_S, extend_by_decay, levels_db
from yivideo_pipeline.speech.align.decoder import CrossAttentionCache, Decoder, ForcedSequence, Head
from yivideo_pipeline.speech.align.hesitations import find_hesitations, insert_hesitations
from yivideo_pipeline.speech.align.text import (
    Encoded,
    WordTimings,
    letter_tokens,
    piece_tokens,
    split_words,
    text_tokens,
    word_confidences,
)
from yivideo_pipeline.speech.align.torch_decoder import TorchDecoder
from yivideo_pipeline.speech.whisper import ENCODER_FRAMES_PER_S, Decoding, Whisper

# Cost of 10 ms of sound between words: a hesitation, a breath, a word that the text leaves out. In the
# first pass it attracts some attention of the word behind it, and must cost less than that is worth.
PIECES_GAP_COST = 0.1
LETTERS_GAP_COST = 1.5
PAUSE_S = 0.12  # a gap that separates phrases
MARGIN_S = 0.2  # sound around a phrase that is read with it
MAX_PHRASE_WORDS = 40
LETTERS_SHARE = 0.6  # weight of the second pass
PIECES_LAG_S = 0.015  # how much later the first pass's times are than the second's
# White noise at 10 dB hides 30 dB of a word's decay: ends before pauses were found 86 ms early in the median.
HIDDEN_TAIL_S = 0.05
HIDDEN_DB = 20.0
PROMPT_ROOM = 8
# Behind a sound the encoder still writes of it: 2 s are read whole. Word times then differ by 0.2 ms with
# tiny.en and 0.8 ms with base from those with all of the window, by 20 ms at most (ADR 16).
ECHO_FRAMES = 100


@dataclass(frozen=True)
class PhraseProfile:
    """Heads (layer, head) with their lags in seconds, for letters and for the model's tokens."""

    letters: Mapping[Head, float]
    pieces: Mapping[Head, float]


# Measured against an HMM aligner on read English speech (docs/alignment.md).
PHRASE_PROFILES = {
    "base": PhraseProfile(
        letters={(5, 1): 0.01, (4, 2): -0.04},
        pieces={(5, 4): 0.01, (5, 6): 0.03, (4, 1): 0.16, (4, 3): -0.07},
    ),
    "tiny.en": PhraseProfile(
        letters={(2, 1): 0.02, (2, 4): -0.04},
        pieces={(3, 2): 0.01, (2, 5): 0.09, (2, 0): 0.15},
    ),
}


@dataclass(frozen=True)
class _Window:
    """One chunk that is being aligned: its sound with a little silence, and the thinned silence behind."""

    cache: CrossAttentionCache
    tail: CrossAttentionCache
    silence: np.ndarray  # probability that each 10 ms is silent
    frames: int  # encoder frames that are sound


@dataclass(frozen=True)
class _Draft:
    """A chunk's timed words, still without confidences.

    `tokens` are the text's as the model would write it, `bounds` each word's first one, `output` the
    decoder's output that predicts them, shape (tokens, d).
    """

    words: tuple[str, ...]
    times: np.ndarray
    timed: np.ndarray
    tokens: list[int]
    bounds: np.ndarray
    output: np.ndarray

    def finish(self, probabilities: np.ndarray) -> WordTimings:
        confidences = np.zeros(len(self.words))
        kept = len(self.bounds) - 1
        confidences[:kept] = word_confidences(probabilities, self.bounds)
        return WordTimings(self.words, self.times, confidences, self.timed)


class PhraseAligner:
    """Aligns text with a model's attention, computed by our own decoder from the model's file.

    Args:
        whisper: The model that recognizes the text.
        decoder: Made from the same model's file.
        profile: The heads to read.
    """

    def __init__(self, whisper: Whisper, decoder: Decoder | TorchDecoder, profile: PhraseProfile) -> None:
        self._whisper = whisper
        self._decoder = decoder
        self._profile = profile
        # Batches run side by side, each in its thread: more threads in one product only compete.
        ThreadpoolController().limit(limits=1, user_api="blas")
        self._silence = self._cache_silence(whisper.silence[0])
        self._no_output = np.zeros((0, whisper.silence.shape[2]), np.float32)

    def align(self, encoded: Encoded, texts: list[str], decoding: Decoding) -> list[WordTimings]:
        """Return the times of the words of each chunk's text; see `TextAligner.align`."""
        rows = self._whisper.on_host(encoded.view)
        tokenizer = self._whisper.tokenizer(decoding)
        drafts = [
            self._time_words(row, tokenizer, split_words(text), sound, activity)
            for row, text, sound, activity in zip(
                rows, texts, encoded.sounds, encoded.activities, strict=True
            )
        ]
        # All chunks' tokens at once: unpacking the vocabulary costs as much as using it.
        tokens = [token for draft in drafts for token in draft.tokens]
        output = np.concatenate([draft.output for draft in drafts])
        probabilities = self._decoder.probabilities(output, tokens)
        ends = np.cumsum([len(draft.tokens) for draft in drafts])
        return [
            draft.finish(probabilities[end - len(draft.tokens) : end])
            for draft, end in zip(drafts, ends, strict=True)
        ]

    def _cache_silence(self, encoded: np.ndarray) -> CrossAttentionCache:
        """Return keys and values of encoded silence, of which one frame stands for several alike."""
        step = self._decoder.silence_step
        return replace(self._decoder.cache_encoded(encoded[::step]), weight=step)

    def _time_words(
        self, encoded: np.ndarray, tokenizer: Any, words: list[str], sound: np.ndarray, activity: np.ndarray
    ) -> _Draft:
        """Make both passes over one chunk."""
        if not words:
            return _Draft((), np.zeros((0, 2)), np.zeros(0, bool), [], np.zeros(1, int), self._no_output)
        frames = max(1, min(len(encoded), -(-len(sound) * ENCODER_FRAMES_PER_S // SAMPLE_RATE_HZ)))
        silence = estimate_silence(sound, activity, 2 * frames)
        near = frames + ECHO_FRAMES
        cache, tail = self._decoder.cache_encoded(encoded[:near]), self._cache_silence(encoded[near:])
        window = _Window(cache, tail, silence, frames)
        rough, tokens, bounds, output = self._read_pieces(window, tokenizer, words)
        hesitations = find_hesitations(self._decoder, tokenizer, tokens, bounds, output)
        spoken, is_text = insert_hesitations(words, hesitations)
        if hesitations:
            rough = self._read_pieces(window, tokenizer, spoken)[0]
        exact = self._read_letters(window, tokenizer, spoken, rough)
        times = LETTERS_SHARE * exact + (1 - LETTERS_SHARE) * (rough - PIECES_LAG_S)
        timed = ~np.isnan(times).any(axis=1)
        duration_s = len(sound) / SAMPLE_RATE_HZ
        tail_s = measure_tail(sound, activity)
        times = extend_by_decay(_fill_and_order(times, duration_s), duration_s, tail_s)
        return _Draft(tuple(words), times[is_text], timed[is_text], tokens, bounds, output)

    def _read_pieces(
        self, window: _Window, tokenizer: Any, words: list[str]
    ) -> tuple[np.ndarray, list[int], np.ndarray, np.ndarray]:
        """Make the first pass, which finds the pauses.

        Words are read one by one for their times. Where the model itself would write several in one
        token, as in Chinese, the text is read a second time that way, for the probabilities.

        Returns:
            Times, shape (n, 2), NaN for words beyond the decoder's length; the text's own tokens; each
            word's first token; the decoder's output that predicts the tokens.
        """
        kept, tokens, bounds = self._truncate(*piece_tokens(tokenizer, words))
        _, own_tokens, own_bounds = self._truncate(*text_tokens(tokenizer, words))
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        sequences = [
            ForcedSequence([*prompt, *row, tokenizer.eot], (window.cache, window.tail), window.frames)
            for row in ([tokens] if own_tokens == tokens else [tokens, own_tokens])
        ]
        maps, output = self._decoder.attend(sequences, list(self._profile.pieces), with_output=True)
        rows = predicting_rows(prompt, tokens)
        scores = score_tokens(maps[0], self._profile.pieces, rows, rate_piece)
        times = np.full((len(words), 2), np.nan)
        times[:kept] = find_word_times(scores, window.silence, bounds, PIECES_GAP_COST)
        own_output = output[-len(sequences[-1].tokens) :][predicting_rows(prompt, own_tokens)]
        return times, own_tokens, own_bounds, own_output

    def _truncate(self, tokens: list[int], bounds: np.ndarray) -> tuple[int, list[int], np.ndarray]:
        """Return how many words fit the decoder, their tokens and bounds."""
        room = min(self._decoder.max_tokens - PROMPT_ROOM, len(tokens))
        kept = int(np.searchsorted(bounds, room, side="right")) - 1
        return kept, tokens[: bounds[kept]], bounds[: kept + 1]

    def _read_letters(
        self, window: _Window, tokenizer: Any, words: list[str], rough: np.ndarray
    ) -> np.ndarray:
        """Make the second pass: times, shape (n, 2); the first pass's where letters give none."""
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        phrases, sequences = [], []
        for first, last in split_phrases(rough):
            tokens, bounds = letter_tokens(tokenizer, words[first:last])
            low, high = _phrase_frames(rough, first, last, window.frames)
            if not 0 < len(tokens) <= self._decoder.max_tokens - PROMPT_ROOM or high - low < 2:
                continue
            tail = self._silence.part((high - low) // self._decoder.silence_step)
            phrases.append((first, last, low, high, tokens, bounds))
            parts = (window.cache.part(low, high), tail)
            sequences.append(ForcedSequence([*prompt, *tokens, tokenizer.eot], parts, high - low))
        exact = rough.copy()
        if not sequences:
            return exact
        maps, _ = self._decoder.attend(sequences, list(self._profile.letters), with_output=False)
        for (first, last, low, high, tokens, bounds), found in zip(phrases, maps, strict=True):
            scores = score_tokens(found, self._profile.letters, predicting_rows(prompt, tokens), rate_letter)
            silence = window.silence[2 * low : 2 * high]
            times = find_word_times(scores, silence, bounds, LETTERS_GAP_COST)
            times += low / ENCODER_FRAMES_PER_S
            exact[first:last] = np.where(np.isnan(times), rough[first:last], times)
        return exact


def predicting_rows(prompt: list[int], tokens: list[int]) -> slice:
    """Return the rows of the decoder's output that predict the text: each one row before its token."""
    return slice(len(prompt) - 1, len(prompt) - 1 + len(tokens))


def rate_piece(attention: np.ndarray) -> np.ndarray:
    """Return how well attention tells that one of the model's tokens is heard."""
    return 10 * attention


def rate_letter(attention: np.ndarray) -> np.ndarray:
    """Return how well attention tells that a letter is heard."""
    return np.log(attention + np.float32(1e-4)) + 5


def estimate_silence(sound: np.ndarray, activity: np.ndarray, count: int) -> np.ndarray:
    """Return how likely each of `count` frames of 10 ms is silent, 0 to 1, by energy and by voice activity.

    Args:
        sound: float32 in -1..1, 16 kHz.
        activity: Probability of speech at each 10 ms.
        count: Number of frames; the last value is repeated where the sound is shorter.
    """
    if not len(sound):
        return np.ones(count)
    levels, activity = _fit(_padded_levels(sound), count), _fit(activity, count)
    by_energy = np.clip((max(_limits_db(levels, activity)) + 3 - levels) / 6, 0, 1)
    by_activity = np.clip((0.65 - activity) / 0.3, 0, 1)
    return (by_energy + by_activity) / 2


def measure_tail(sound: np.ndarray, activity: np.ndarray) -> float:
    """Return by how many seconds words ring out: longer where a noise floor hides their decay.

    Arguments as for `estimate_silence`.
    """
    if not len(sound):
        return TAIL_S
    levels = _padded_levels(sound)
    floor_db, decayed_db = _limits_db(levels, _fit(activity, len(levels)))
    return TAIL_S + HIDDEN_TAIL_S * float(np.clip((floor_db - decayed_db) / HIDDEN_DB, 0, 1))


def _padded_levels(sound: np.ndarray) -> np.ndarray:
    return levels_db(np.pad(sound, (120, 400)))


def _limits_db(levels: np.ndarray, activity: np.ndarray) -> tuple[float, float]:
    """Return the level that the noise floor stays below, and that to which loud speech decays."""
    floor_db = float(np.quantile(levels, 0.05)) + 6
    loud = levels[activity > 0.5]
    return floor_db, float(np.quantile(loud, 0.9)) - 30 if len(loud) else floor_db


def split_phrases(times: np.ndarray) -> list[tuple[int, int]]:
    """Return the runs of words (first, last) between pauses, at most 40 words each, without untimed words."""
    pauses = times[1:, 0] - times[:-1, 1]
    cuts = (np.flatnonzero((pauses >= PAUSE_S) | np.isnan(pauses)) + 1).tolist()
    pending = list(zip([0, *cuts], [*cuts, len(times)], strict=True))
    phrases = []
    while pending:
        first, last = pending.pop()
        if last - first <= MAX_PHRASE_WORDS:
            if not np.isnan(times[first:last]).any():
                phrases.append((first, last))
            continue
        cut = first + 1 + int(np.argmax(pauses[first + 5 : last - 6])) + 5
        pending += [(first, cut), (cut, last)]
    return sorted(phrases)


def _phrase_frames(times: np.ndarray, first: int, last: int, frames: int) -> tuple[int, int]:
    """Return the encoder frames of a phrase with a margin that stops half-way to its neighbours."""
    low = times[first, 0] - MARGIN_S
    high = times[last - 1, 1] + MARGIN_S
    if first and not np.isnan(times[first - 1, 1]):
        low = max(low, (times[first - 1, 1] + times[first, 0]) / 2)
    if last < len(times) and not np.isnan(times[last, 0]):
        high = min(high, (times[last - 1, 1] + times[last, 0]) / 2)
    return int(max(low, 0) * ENCODER_FRAMES_PER_S), min(frames, int(np.ceil(high * ENCODER_FRAMES_PER_S)))


def score_tokens(
    maps: dict[Head, np.ndarray],
    lags: Mapping[Head, float],
    rows: slice,
    rate: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return how well each token fits each 10 ms: heads shifted by their lags, rated and averaged."""
    total: np.ndarray | None = None
    for head, lag_s in lags.items():
        attention = maps[head][rows]
        frames = attention.shape[1]
        wanted = (np.arange(2 * frames) + 0.5) * FRAME_S + lag_s
        at = np.clip(wanted * ENCODER_FRAMES_PER_S - 0.5, 0, frames - 1)
        left = at.astype(int)
        right = np.minimum(left + 1, frames - 1)
        share = (at - left).astype(np.float32)
        rated = rate(attention[:, left] * (1 - share) + attention[:, right] * share)
        total = rated if total is None else total + rated
    assert total is not None
    return total / len(lags)


def _fit(values: np.ndarray, count: int) -> np.ndarray:
    """Return the first `count` values, the last one repeated where there are fewer."""
    return np.pad(values[:count], (0, max(0, count - len(values))), mode="edge")


def _fill_and_order(times: np.ndarray, duration_s: float) -> np.ndarray:
    """Put words without a time at the end of the previous word, and all times in order."""
    flat = times.reshape(-1)
    known = np.where(np.isnan(flat), -np.inf, flat)
    ordered = np.maximum.accumulate(np.maximum(known, 0.0))
    return np.minimum(ordered, duration_s).reshape(-1, 2)
