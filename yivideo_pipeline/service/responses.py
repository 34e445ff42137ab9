"""Transcripts as the responses that clients of other services expect, with Whisper's own field names.

Also the media types of subtitles, in which several routes respond.
"""

from typing import Any

from pydantic import BaseModel

from yivideo_pipeline.settings.languages import LANGUAGES
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.speech.recognizer import compression_of
from yivideo_pipeline.speech.types import Segment, Transcript, Word
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.writers import render

FRAMES_PER_S = 100
"""Whisper's `seek` counts frames of 10 ms."""
SUBTITLE_MEDIA_TYPES = {
    SubtitleFormat.SRT: "application/x-subrip",
    SubtitleFormat.VTT: "text/vtt",
    SubtitleFormat.ASS: "text/x-ssa",
    SubtitleFormat.TTML: "application/ttml+xml",
    SubtitleFormat.JSON: "application/json",
    SubtitleFormat.TXT: "text/plain",
    SubtitleFormat.IMSC: "application/ttml+xml",
    SubtitleFormat.EBU_TT_D: "application/ttml+xml",
    SubtitleFormat.WORDS_VTT: "text/vtt",
    SubtitleFormat.KARAOKE_ASS: "text/x-ssa",
}
SUBTITLE_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in SUBTITLE_MEDIA_TYPES.values()}}
}
"""The response of a route that returns a subtitle file, for the OpenAPI document."""


class WordResponse(BaseModel):
    """A word and its times in seconds."""

    word: str
    start: float
    end: float


class SegmentResponse(BaseModel):
    """A sentence or phrase, with Whisper's figures.

    `tokens` is always empty and `temperature` always 0: a segment is made of words, which may come from
    several decodings.
    """

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int] = []
    temperature: float = 0.0
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


def text_of(transcript: Transcript) -> str:
    """Return the whole text in one line."""
    return "".join(segment.text for segment in transcript.segments).strip()


def subtitles_of(transcript: Transcript, format: SubtitleFormat, options: SubtitleOptions) -> str:
    """Return the transcript as a subtitle file, cut into cues as the pipeline cuts them."""
    return render(build_cues(transcript, options), transcript, format)


def segments_of(transcript: Transcript) -> list[SegmentResponse]:
    """Return every segment, numbered from 0."""
    return [segment_of(number, segment) for number, segment in enumerate(transcript.segments)]


def segment_of(number: int, segment: Segment) -> SegmentResponse:
    """Return one segment with its number."""
    return SegmentResponse(
        id=number,
        seek=round(segment.start_s * FRAMES_PER_S),
        start=segment.start_s,
        end=segment.end_s,
        text=segment.text,
        avg_logprob=segment.avg_logprob,
        compression_ratio=round(compression_of(segment.text), 4),
        no_speech_prob=segment.no_speech_prob,
    )


def word_of(word: Word) -> WordResponse:
    """Return one word, without the space before it."""
    return WordResponse(word=word.text.strip(), start=word.start_s, end=word.end_s)


def language_name(code: str) -> str:
    """Return a language's English name, as Whisper has it; `undetermined` where nobody speaks."""
    return LANGUAGES.get(code, "undetermined")
