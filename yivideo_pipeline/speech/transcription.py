"""The way from sound to transcript: find speech, decide the language, recognize, repair, assemble."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.assemble import Passage, SpokenWord, build_segments, build_words
from yivideo_pipeline.speech.chinese import CHINESE, convert_segment
from yivideo_pipeline.speech.chunks import plan_chunks
from yivideo_pipeline.speech.coverage import insert_repairs, plan_repairs
from yivideo_pipeline.speech.engine import Heard, Progress
from yivideo_pipeline.speech.language import choose_language, spread_order
from yivideo_pipeline.speech.recognize import Piece, Recognizer
from yivideo_pipeline.speech.types import Span, Transcript, Word
from yivideo_pipeline.speech.vad import HOP_S, find_spans, speech_probabilities

log = logging.getLogger(__name__)

MapPieces = Callable[..., list[Any]]
NO_SOUND = "there is no sound"
NO_SPEECH = "no speech was heard in the sound"
NO_WORDS = "what was heard is no speech: music, noise, or a voice without words"
LANGUAGE_SAMPLE = 8  # chunks that the language is judged by: up to four minutes from all over


@dataclass(frozen=True)
class Detect:
    """Work: which language is spoken in each piece."""

    def __call__(
        self, recognizer: Recognizer, pieces: list[Piece]
    ) -> list[tuple[dict[str, float], np.ndarray | None]]:
        """Probability of each language, and the encoder output, of each piece."""
        return recognizer.detect_languages(pieces)


@dataclass(frozen=True)
class Recognize:
    """Work: what is said in each piece, in a language."""

    language: str
    beam_size: int

    def __call__(self, recognizer: Recognizer, pieces: list[Piece]) -> list[Passage | None]:
        """What was said in each piece; None where nothing was."""
        return recognizer.recognize(recognizer.encode(pieces), self.language, self.beam_size)


@dataclass
class _Track:
    """Adds up finished pieces, tells the share of all speech that is done and what was heard in them."""

    total_s: float
    tell: Progress | None
    heard: Heard | None
    done_s: float = field(default=0.0, init=False)

    def add(self, pieces: Sequence[Piece], passages: Sequence[Passage | None]) -> None:
        self.done_s += sum(piece.chunk.duration_s for piece in pieces)
        if self.tell:
            self.tell(min(1.0, self.done_s / self.total_s))
        if self.heard:
            for piece, passage in zip(pieces, passages, strict=True):
                if passage:
                    self.heard(words_on_video([passage], piece.audio))


def transcribe(
    map_pieces: MapPieces,
    audio: Audio,
    options: SpeechOptions,
    progress: Progress | None,
    heard: Heard | None = None,
) -> Transcript:
    """Turn sound into a transcript; model and revision are left for the engine to fill in.

    Args:
        map_pieces: `Batcher.map`: does work on groups of pieces side by side.
        audio: The sound.
        options: Language, beam and script.
        progress: Told the share of the speech that is done.
        heard: Told the words of each piece when they are there.
    """
    probabilities = speech_probabilities(audio)
    spans = find_spans(probabilities, audio.duration_s)
    chunks = plan_chunks(spans, probabilities, HOP_S, audio.duration_s)
    if not chunks:
        return empty_transcript(audio, options, spans, NO_SPEECH if audio.duration_s else NO_SOUND)
    order = spread_order(len(chunks), LANGUAGE_SAMPLE)
    pieces = [Piece(audio, chunks[index]) for index in order]
    language, certainty, encoded = decide_language(map_pieces, pieces[:LANGUAGE_SAMPLE], options)
    recognize = Recognize(language, options.beam_size)
    track = _Track(sum(chunk.duration_s for chunk in chunks), progress, heard)
    spoken = order_words(map_pieces([*encoded, *pieces[LANGUAGE_SAMPLE:]], recognize, track.add))
    if repairs := plan_repairs(spoken, spans):
        log.info("decoding %d stretches of speech again that no word covers", len(repairs))
        found = map_pieces([Piece(audio, chunk) for chunk in repairs], recognize)
        spoken = insert_repairs(spoken, [order_words([passage]) for passage in found])
    if not spoken:
        return empty_transcript(audio, options, spans, NO_WORDS)
    return assemble_transcript(audio, options, spans, spoken, (language, certainty))


def assemble_transcript(
    audio: Audio,
    options: SpeechOptions,
    spans: tuple[Span, ...],
    spoken: list[SpokenWord],
    language: tuple[str, float],
) -> Transcript:
    """Words as sentences in the wanted script; model and revision are left for the engine to fill in.

    Args:
        audio: The sound.
        options: The wanted script.
        spans: What the voice activity detector heard, on the sound's own clock.
        spoken: At least one word; all in order of time.
        language: Its code and probability.
    """
    segments = build_segments(spoken, audio.offset_s)
    if language[0] in CHINESE:
        segments = [convert_segment(segment, options.zh_script) for segment in segments]
    return empty_transcript(audio, options, spans, "").model_copy(
        update={
            "language": language[0],
            "language_probability": round(language[1], 4),
            "segments": tuple(segments),
            "empty_reason": None,
        }
    )


def empty_transcript(
    audio: Audio, options: SpeechOptions, spans: tuple[Span, ...], reason: str
) -> Transcript:
    """A transcript without words, and why; model and revision are left for the engine to fill in."""
    return Transcript(
        language="und" if options.language == "auto" else options.language,
        language_probability=0.0,
        duration_s=audio.duration_s,
        segments=(),
        speech_spans=tuple(
            Span(start_s=span.start_s + audio.offset_s, end_s=span.end_s + audio.offset_s) for span in spans
        ),
        model="",
        revision="",
        aligner="attention",
        empty_reason=reason,
    )


def decide_language(
    map_pieces: MapPieces, sample: list[Piece], options: SpeechOptions
) -> tuple[str, float, list[Piece]]:
    """The wanted language, or what speech from all over the video is likeliest to be, and how likely.

    Returns the sample too, with what was encoded for this, so that it need not be encoded again.
    """
    if options.language != "auto":
        return options.language, 1.0, sample
    found = map_pieces(sample, Detect())
    language, certainty = choose_language([piece.chunk for piece in sample], [one for one, _ in found])
    pieces = [replace(piece, row=row) for piece, (_, row) in zip(sample, found, strict=True)]
    return language, certainty, pieces


def order_words(passages: Sequence[Passage | None]) -> list[SpokenWord]:
    """Every word of the passages in order of time, on the sound's own clock."""
    found = [item for passage in passages if passage for item in build_words(passage)]
    return sorted(found, key=lambda item: item.word.start_s)


def words_on_video(passages: Sequence[Passage | None], audio: Audio) -> list[Word]:
    """The words of passages in order of time, on the video's clock."""
    shift = audio.offset_s
    return [
        item.word.model_copy(update={"start_s": item.word.start_s + shift, "end_s": item.word.end_s + shift})
        for item in order_words(passages)
    ]
