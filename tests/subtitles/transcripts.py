"""Transcripts for tests: text spoken at a steady pace, with pauses at its punctuation."""

import re
from collections.abc import Iterable, Sequence

from yivideo_pipeline.speech.types import Segment, Span, Transcript, Word

CJK_WORD = re.compile(r"[A-Za-z0-9.%]+[，。！？]*|[（「『“]?.[、，。！？：；”」』）]*", re.DOTALL)


def make_word(text: str, start_s: float, end_s: float, confidence: float = 0.9) -> Word:
    return Word(text=text, start_s=start_s, end_s=end_s, confidence=confidence, source="attention")


def make_transcript(
    words: Sequence[Word], language: str = "en", spans: Sequence[tuple[float, float]] = ()
) -> Transcript:
    segment = Segment(
        start_s=min((word.start_s for word in words), default=0.0),
        end_s=max((word.end_s for word in words), default=0.0),
        text="".join(word.text for word in words),
        words=tuple(words),
        avg_logprob=-0.2,
        no_speech_prob=0.01,
    )
    return Transcript(
        language=language,
        language_probability=0.99,
        duration_s=segment.end_s,
        segments=(segment,) if words else (),
        speech_spans=tuple(Span(start_s=start, end_s=end) for start, end in spans),
        model="base",
        revision="r1",
        aligner="attention",
        empty_reason=None if words else "no speech was heard",
    )


def speak(
    text: str, chars_per_second: float = 14.0, start_s: float = 0.0, spaced: bool = True, pause_s: float = 0.3
) -> list[Word]:
    """Words of a text as Whisper gives them: a leading space each, or one Chinese character each."""
    pieces: Iterable[str] = (f" {piece}" for piece in text.split()) if spaced else CJK_WORD.findall(text)
    words, at = [], start_s
    for piece in pieces:
        end = at + len(piece.strip()) / chars_per_second
        words.append(make_word(piece, at, end))
        at = end + (pause_s if piece[-1] in ",.?!，。？！、" else 0.0)
    return words
