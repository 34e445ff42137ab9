"""Calibrates a model for the phrase aligner: which of its heads follow the sound, and how far each lags.

It needs speech whose words have known times. Each head is judged by how much of a word's attention falls on
the word's own sound, at the lag at which that is most; of the best ones those are kept that together put the
words nearest to their times, by the search that the aligner itself uses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.speech.align.best_path import find_word_times
from yivideo_pipeline.speech.align.decoder import CrossAttentionCache, Decoder, ForcedSequence, Head
from yivideo_pipeline.speech.align.phrases import (
    LETTERS_GAP_COST,
    MARGIN_S,
    PIECES_GAP_COST,
    PhraseProfile,
    estimate_silence,
    predicting_rows,
    rate_letter,
    rate_piece,
    score_tokens,
)
from yivideo_pipeline.speech.align.text import Encoded, TextAligner, letter_tokens, piece_tokens
from yivideo_pipeline.speech.chunks import Chunk, plan_chunks
from yivideo_pipeline.speech.types import Span
from yivideo_pipeline.speech.vad import HOP_S, find_spans, speech_probabilities
from yivideo_pipeline.speech.whisper import ENCODER_FRAMES_PER_S, Decoding, Whisper

CANDIDATES = 8
MOST_HEADS = 4
LAGS_S = np.arange(-0.12, 0.25, 0.01)
FAR_S = 0.3  # errors beyond it count as much as this one
PHRASE_PAUSE_S = 0.3
# A synthetic voice's phones begin a little before those that an aligner finds in recorded speech: the heads
# that were measured against one put the samples' words so much later.
SAMPLES_LEAD_S = 0.01
NEAR_S = 0.1
DECODING = Decoding("en")


@dataclass(frozen=True)
class TimedSample:
    """Speech and its words with start and end in seconds on the sound's own clock."""

    audio: Audio
    words: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Exactness:
    """How many words there were, and the shares whose start and end lie within 0.1 s of their times."""

    words: int
    starts: float
    ends: float


@dataclass(frozen=True)
class _Passage:
    """A stretch of speech as one pass reads it; `times` of its words from its start, shape (n, 2)."""

    sequence: ForcedSequence
    rows: slice
    bounds: np.ndarray
    times: np.ndarray
    silence: np.ndarray


@dataclass(frozen=True)
class _Pass:
    """One of the aligner's two passes: how it rates attention, and what sound between words costs."""

    rate: Callable[[np.ndarray], np.ndarray]
    gap_cost: float


PIECES, LETTERS = _Pass(rate_piece, PIECES_GAP_COST), _Pass(rate_letter, LETTERS_GAP_COST)


def calibrate(
    whisper: Whisper, decoder: Decoder, samples: list[TimedSample], report: Callable[[str], None]
) -> PhraseProfile:
    """Return the heads and lags with which the model puts the samples' words nearest to their times.

    Args:
        whisper: The model.
        decoder: Made from the same model's file.
        samples: English speech, best with pauses in it.
        report: Is told what is being done.
    """
    report("reading the samples")
    windows = [one for sample in samples for one in _cut(whisper, sample)]
    pieces = [_read_window(whisper, decoder, *one) for one in windows]
    report("choosing heads for the model's tokens")
    for_pieces = _choose(decoder, pieces, PIECES)
    report("choosing heads for letters")
    step = decoder.silence_step
    tail = replace(decoder.cache_encoded(whisper.silence[0][::step]), weight=step)
    letters = [one for window in windows for one in _read_phrases(whisper, decoder, tail, *window)]
    return PhraseProfile(letters=_choose(decoder, letters, LETTERS), pieces=for_pieces)


def measure(whisper: Whisper, aligner: TextAligner, samples: list[TimedSample]) -> Exactness:
    """Return how exactly an aligner puts the samples' words, given their texts."""
    errors = []
    for sample in samples:
        for encoded, words, times in _cut(whisper, sample):
            [timed] = aligner.align(encoded, ["".join(words)], DECODING)
            errors.append(np.abs(timed.times - times))
    near = np.concatenate(errors) <= NEAR_S
    return Exactness(len(near), *(float(share) for share in near.mean(axis=0)))


def _cut(whisper: Whisper, sample: TimedSample) -> list[tuple[Encoded, list[str], np.ndarray]]:
    """Return the sample's windows, each with its words and their times on the window's clock."""
    probabilities = speech_probabilities(sample.audio)
    spans = find_spans(probabilities, sample.audio.duration_s)
    windows = []
    for chunk in plan_chunks(spans, probabilities, HOP_S, sample.audio.duration_s):
        own = [(word, _place(chunk, start, end)) for word, start, end in sample.words]
        inside = [(" " + word, place) for word, place in own if place is not None]
        if inside:
            sound, activity = chunk.read(sample.audio), chunk.sample(probabilities, HOP_S, 0.01)
            encoded = Encoded((chunk,), (sound,), (activity,), whisper.encode([sound]))
            windows.append((encoded, [word for word, _ in inside], np.array([place for _, place in inside])))
    return windows


def _place(chunk: Chunk, start_s: float, end_s: float) -> tuple[float, float] | None:
    """Return a word's times on the chunk's clock; None where its middle is outside."""
    at_s = 0.0
    for piece in chunk.pieces:
        if _holds(piece, (start_s + end_s) / 2):
            return start_s - piece.start_s + at_s, end_s - piece.start_s + at_s
        at_s += piece.end_s - piece.start_s
    return None


def _holds(piece: Span, time_s: float) -> bool:
    return piece.start_s <= time_s < piece.end_s


def _read_window(
    whisper: Whisper, decoder: Decoder, encoded: Encoded, words: list[str], times: np.ndarray
) -> _Passage:
    tokenizer = whisper.tokenizer(DECODING)
    cache, silence = _open(whisper, decoder, encoded)
    tokens, bounds = piece_tokens(tokenizer, words)
    prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    sequence = ForcedSequence([*prompt, *tokens, tokenizer.eot], (cache,), len(silence) // 2)
    return _Passage(sequence, predicting_rows(prompt, tokens), bounds, times, silence)


def _read_phrases(
    whisper: Whisper,
    decoder: Decoder,
    tail: CrossAttentionCache,
    encoded: Encoded,
    words: list[str],
    times: np.ndarray,
) -> list[_Passage]:
    """Return the phrases between pauses, each before encoded silence, as the second pass reads them."""
    tokenizer = whisper.tokenizer(DECODING)
    cache, silence = _open(whisper, decoder, encoded)
    prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    cuts = (np.flatnonzero(times[1:, 0] - times[:-1, 1] >= PHRASE_PAUSE_S) + 1).tolist()
    passages = []
    for first, last in zip([0, *cuts], [*cuts, len(words)], strict=True):
        low = max(0, int((times[first, 0] - MARGIN_S) * ENCODER_FRAMES_PER_S))
        high = min(len(silence) // 2, int((times[last - 1, 1] + MARGIN_S) * ENCODER_FRAMES_PER_S))
        tokens, bounds = letter_tokens(tokenizer, words[first:last])
        parts = (cache.part(low, high), tail.part((high - low) // decoder.silence_step))
        sequence = ForcedSequence([*prompt, *tokens, tokenizer.eot], parts, high - low)
        own = times[first:last] - low / ENCODER_FRAMES_PER_S
        rows = predicting_rows(prompt, tokens)
        passages.append(_Passage(sequence, rows, bounds, own, silence[2 * low : 2 * high]))
    return passages


def _open(whisper: Whisper, decoder: Decoder, encoded: Encoded) -> tuple[CrossAttentionCache, np.ndarray]:
    [row], [sound], [activity] = whisper.on_host(encoded.view), encoded.sounds, encoded.activities
    frames = min(len(row), len(sound) // 320)
    return decoder.cache_encoded(row), estimate_silence(sound, activity, 2 * frames)


# The choice of heads.


def _choose(decoder: Decoder, passages: list[_Passage], kind: _Pass) -> dict[Head, float]:
    """Return the heads that together find the words best, with their lags; one head after the other."""
    ranked = _rank(decoder, passages)
    maps = [decoder.attend([one.sequence], list(ranked), with_output=False)[0][0] for one in passages]
    chosen: dict[Head, float] = {}
    error = np.inf
    while len(chosen) < MOST_HEADS:
        tried = {
            head: _error(maps, passages, {**chosen, head: lag_s}, kind)
            for head, lag_s in ranked.items()
            if head not in chosen
        }
        best = min(tried, key=lambda head: tried[head])
        if tried[best] >= error:
            break
        chosen[best], error = ranked[best], tried[best]
    return _correct_bias(maps, passages, chosen, kind)


def _rank(decoder: Decoder, passages: list[_Passage]) -> dict[Head, float]:
    """Return the heads whose attention falls best on the words' own sound, and the lag of each."""
    heads = [(layer, head) for layer in range(decoder.layers) for head in range(decoder.heads)]
    total = np.zeros((len(heads), len(LAGS_S)))
    for one in passages:
        [maps], _ = decoder.attend([one.sequence], heads, with_output=False)
        owners = np.repeat(np.arange(len(one.times)), np.diff(one.bounds))
        edges = (one.times[owners, :, np.newaxis] + LAGS_S) * ENCODER_FRAMES_PER_S
        for index, head in enumerate(heads):
            sums = np.cumsum(np.pad(maps[head][one.rows], ((0, 0), (1, 0))), axis=1)
            total[index] += _mass(sums, edges).sum(axis=0)
    best = np.argsort(-total.max(axis=1))[:CANDIDATES]
    return {heads[index]: round(float(LAGS_S[total[index].argmax()]), 3) for index in best}


def _mass(sums: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return each token's attention between its two edges at each lag, shape (tokens, lags)."""
    at = np.clip(edges, 0, sums.shape[1] - 1)
    left = at.astype(int)
    right = np.minimum(left + 1, sums.shape[1] - 1)
    rows = np.arange(len(sums))[:, np.newaxis, np.newaxis]
    value = sums[rows, left] * (1 - (at - left)) + sums[rows, right] * (at - left)
    return value[:, 1] - value[:, 0]


def _error(
    maps: list[dict[Head, np.ndarray]], passages: list[_Passage], lags: Mapping[Head, float], kind: _Pass
) -> float:
    """Return the mean distance of starts and ends from their times, in seconds."""
    found = _distances(maps, passages, lags, kind)
    return float(np.minimum(np.nan_to_num(np.abs(found), nan=FAR_S), FAR_S).mean())


def _distances(
    maps: list[dict[Head, np.ndarray]], passages: list[_Passage], lags: Mapping[Head, float], kind: _Pass
) -> np.ndarray:
    """Return how much later each word is put than it was said, start and end, shape (words, 2)."""
    return np.concatenate(
        [
            find_word_times(
                score_tokens(own, lags, one.rows, kind.rate), one.silence, one.bounds, kind.gap_cost
            )
            - one.times
            for own, one in zip(maps, passages, strict=True)
        ]
    )


def _correct_bias(
    maps: list[dict[Head, np.ndarray]], passages: list[_Passage], lags: dict[Head, float], kind: _Pass
) -> dict[Head, float]:
    """Shift all lags together by what words start too late by."""
    late_s = float(np.nanmedian(_distances(maps, passages, lags, kind)[:, 0])) - SAMPLES_LEAD_S
    return {head: round(lag_s + late_s, 3) for head, lag_s in lags.items()}
