"""Transcripts in the shapes that other services' clients expect: Whisper's own field names."""

from pydantic import BaseModel

from yivideo_pipeline.settings.languages import LANGUAGES
from yivideo_pipeline.settings.options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.speech.recognizer import compression_of
from yivideo_pipeline.speech.types import Segment, Transcript, Word
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.writers import render

FRAMES_PER_S = 100
"""Whisper's `seek` counts frames of 10 ms."""


class WordAnswer(BaseModel):
    """A word and when it is said, in seconds."""

    word: str
    start: float
    end: float


class SegmentAnswer(BaseModel):
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
    """All that was said, in one line."""
    return "".join(segment.text for segment in transcript.segments).strip()


def subtitles_of(transcript: Transcript, format: SubtitleFormat, options: SubtitleOptions) -> str:
    """The transcript as a subtitle file, cut into cues as the pipeline cuts them."""
    return render(build_cues(transcript, options), transcript, format)


def segments_of(transcript: Transcript) -> list[SegmentAnswer]:
    """Every segment, numbered from 0."""
    return [segment_of(number, segment) for number, segment in enumerate(transcript.segments)]


def segment_of(number: int, segment: Segment) -> SegmentAnswer:
    """One segment with its number."""
    return SegmentAnswer(
        id=number,
        seek=round(segment.start_s * FRAMES_PER_S),
        start=segment.start_s,
        end=segment.end_s,
        text=segment.text,
        avg_logprob=segment.avg_logprob,
        compression_ratio=round(compression_of(segment.text), 4),
        no_speech_prob=segment.no_speech_prob,
    )


def word_of(word: Word) -> WordAnswer:
    """One word, without the space before it."""
    return WordAnswer(word=word.text.strip(), start=word.start_s, end=word.end_s)


def language_name(code: str) -> str:
    """A language by Whisper's English name; `undetermined` where nobody speaks."""
    return LANGUAGES.get(code, "undetermined")
