"""The transcript as a document: WhisperX's JSON, and plain text to read."""

import json
from collections.abc import Iterator, Sequence

from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.whisperx_shape import to_whisperx
from yivideo_pipeline.subtitles.breaks import ends_sentence
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.grammar import grammar_of
from yivideo_pipeline.subtitles.tokens import tokenize

PARAGRAPH_PAUSE_MS = 2000
"""A longer pause begins a new line of plain text, whether or not a sentence has ended."""


def render_json(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """JSON in WhisperX's shape, as `speech.whisperx_shape` makes it."""
    return json.dumps(to_whisperx(transcript), ensure_ascii=False) + "\n"


def render_txt(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Plain text, a sentence a line."""
    return "".join(f"{sentence}\n" for sentence in _sentences(transcript))


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
