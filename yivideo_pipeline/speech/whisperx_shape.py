"""Transcripts as the dictionaries that WhisperX makes, and back."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from yivideo_pipeline.speech.types import Segment, Transcript, Word


def to_whisperx(transcript: Transcript) -> dict[str, Any]:
    """Segments with their words, all words once more, the language.

    Beyond WhisperX's keys each word has its `source`. Every word has a time. Seconds and scores
    have three decimals; words stand without the spaces around them.
    """
    segments = [_segment(segment) for segment in transcript.segments]
    return {
        "segments": segments,
        "word_segments": [word for segment in segments for word in segment["words"]],
        "language": transcript.language,
    }


def from_whisperx(segments: Iterable[Mapping[str, Any]]) -> tuple[Segment, ...]:
    """Segments with timed words, as `to_whisperx` gives them.

    Raises:
        ValueError: a segment's text does not hold its words.
    """
    return tuple(
        Segment(
            start_s=segment["start"],
            end_s=segment["end"],
            text=segment["text"],
            words=tuple(_read_words(segment)),
            avg_logprob=segment["avg_logprob"],
            no_speech_prob=0.0,
        )
        for segment in segments
    )


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text.strip(),
        "words": [_word(word) for word in segment.words if word.text.strip()],
        "avg_logprob": round(segment.avg_logprob, 3),
    }


def _word(word: Word) -> dict[str, Any]:
    return {
        "word": word.text.strip(),
        "start": round(word.start_s, 3),
        "end": round(word.end_s, 3),
        "score": round(word.confidence, 3),
        "source": word.source,
    }


def _read_words(segment: Mapping[str, Any]) -> Iterator[Word]:
    """The words, each with the space before it that the segment's text shows."""
    text, at = segment["text"], 0
    for word in segment["words"]:
        end = text.index(word["word"], at) + len(word["word"])
        yield Word(
            text=text[at:end],
            start_s=word["start"],
            end_s=word["end"],
            confidence=word["score"],
            source=word["source"],
        )
        at = end
