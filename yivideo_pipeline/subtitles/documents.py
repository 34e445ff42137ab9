"""The transcript as a document: WhisperX's JSON, and plain text to read."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from yivideo_pipeline.speech.types import Segment, Transcript, Word
from yivideo_pipeline.subtitles.breaks import ends_sentence
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.grammar import grammar_of
from yivideo_pipeline.subtitles.tokens import tokenize

PARAGRAPH_PAUSE_MS = 2000
"""A longer pause begins a new line of plain text, whether or not a sentence has ended."""


def render_json(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """JSON in WhisperX's shape: segments with their words, all words once more, the language.

    Beyond WhisperX's keys each word has its `source`. Every word has a time. Seconds and scores
    have three decimals; words stand without the spaces around them.
    """
    segments = [_segment(segment) for segment in transcript.segments]
    document = {
        "segments": segments,
        "word_segments": [word for segment in segments for word in segment["words"]],
        "language": transcript.language,
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def render_txt(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Plain text, a sentence a line."""
    return "".join(f"{sentence}\n" for sentence in _sentences(transcript))


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


def _sentences(transcript: Transcript) -> Iterator[str]:
    grammar = grammar_of(transcript.language)
    tokens = tokenize(transcript, PARAGRAPH_PAUSE_MS)
    sentence = ""
    for index, token in enumerate(tokens):
        sentence += f" {token.text}" if token.spaced and sentence else token.text
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        paused = following is None or following.start_ms - token.end_ms > PARAGRAPH_PAUSE_MS
        if following is None or paused or ends_sentence(token.text, following.text, grammar):
            yield sentence
            sentence = ""
