"""Putting aligned words among those that could not be aligned, all in order and inside the sound."""

from collections.abc import Mapping, Sequence

import numpy as np

from yivideo_pipeline.speech.assemble import spread_untimed
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.speech.wav2vec2.ctc import HeardWord
from yivideo_pipeline.speech.words import spoken_characters

_ROUNDING_S = 1e-6


def retime(transcript: Transcript, heard: Mapping[int, HeardWord], offset_s: float) -> Transcript:
    """The transcript with words at the times they were heard; the others keep theirs, as far as they fit.

    Args:
        transcript: Its words in order of time.
        heard: Times on the sound's own clock, by index of the word.
        offset_s: When the sound starts on the video's clock.
    """
    words = transcript.words
    times = np.array([(word.start_s, word.end_s) for word in words]) - offset_s
    aligned = np.zeros(len(words), bool)
    for index, found in heard.items():
        times[index], aligned[index] = (found.start_s, found.end_s), True
    times[aligned] = _in_order(times[aligned])
    times = _between_aligned(times, aligned, transcript.duration_s)
    times[:, 1] += _ROUNDING_S  # a word that is exactly as long as the shortest one is no guess
    letters = np.array([len(spoken_characters(word.text)) for word in words])
    times, guessed = spread_untimed(times, np.ones(len(words), bool), letters)
    times = np.clip(times, 0, transcript.duration_s) + offset_s
    retimed = [
        _retimed(word, times[index], heard.get(index), bool(guessed[index]))
        for index, word in enumerate(words)
    ]
    return _with_words(transcript, retimed)


def _in_order(times: np.ndarray) -> np.ndarray:
    """Resolve overlaps, which slices with their margins leave: a word ends where the next begins."""
    ordered = times.copy()
    for index in range(1, len(ordered)):
        before, word = ordered[index - 1], ordered[index]
        if word[0] > before[0]:
            before[1] = min(before[1], word[0])
        else:
            word[:] = before[1], max(before[1], word[1])
    return ordered


def _between_aligned(times: np.ndarray, aligned: np.ndarray, duration_s: float) -> np.ndarray:
    """Move words that were not aligned into the room that the aligned ones around them leave."""
    ends = np.where(aligned, times[:, 1], 0.0)
    starts = np.where(aligned, times[:, 0], duration_s)
    low = np.maximum.accumulate(ends)
    high = np.minimum.accumulate(starts[::-1])[::-1]
    kept = ~aligned
    fitted = times.copy()
    fitted[kept] = np.clip(times[kept], low[kept, None], np.maximum(low, high)[kept, None])
    return fitted


def _retimed(word: Word, times: np.ndarray, found: HeardWord | None, guessed: bool) -> Word:
    start_s, end_s = (round(float(time), 3) for time in times)
    update: dict[str, object] = {"start_s": start_s, "end_s": end_s}
    if guessed:
        update["source"] = "interpolated"
    elif found is not None:
        update |= {"source": "aligned", "confidence": round(min(found.probability, 1.0), 4)}
    return word.model_copy(update=update)


def _with_words(transcript: Transcript, words: Sequence[Word]) -> Transcript:
    segments, first = [], 0
    for segment in transcript.segments:
        own = tuple(words[first : first + len(segment.words)])
        first += len(own)
        segments.append(
            segment.model_copy(update={"words": own, "start_s": own[0].start_s, "end_s": own[-1].end_s})
            if own
            else segment
        )
    return transcript.model_copy(update={"segments": tuple(segments)})
