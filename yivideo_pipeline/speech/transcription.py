"""The way from sound to transcript: find speech, decide the language, recognize, repair, assemble."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.assemble import Passage, SpokenWord, build_segments, build_words
from yivideo_pipeline.speech.chinese import CHINESE, convert_segment
from yivideo_pipeline.speech.chunks import Chunk, plan_chunks
from yivideo_pipeline.speech.coverage import insert_repairs, plan_repairs
from yivideo_pipeline.speech.engine import Progress
from yivideo_pipeline.speech.language import choose_language, spread_order
from yivideo_pipeline.speech.recognize import Recognizer
from yivideo_pipeline.speech.text_aligner import Encoded
from yivideo_pipeline.speech.types import Span, Transcript
from yivideo_pipeline.speech.vad import HOP_S, find_spans, speech_probabilities

log = logging.getLogger(__name__)

MapChunks = Callable[..., list[Any]]
NO_SOUND = "there is no sound"
NO_SPEECH = "no speech was heard in the sound"
NO_WORDS = "what was heard is no speech: music, noise, or a voice without words"
LANGUAGE_SAMPLE = 8  # chunks that the language is judged by: up to four minutes from all over


@dataclass
class _Track:
    """Adds up finished chunks and tells the share of all speech that is done."""

    total_s: float
    tell: Progress | None
    done_s: float = field(default=0.0, init=False)

    def add(self, chunks: list[Chunk]) -> None:
        self.done_s += sum(chunk.duration_s for chunk in chunks)
        if self.tell:
            self.tell(min(1.0, self.done_s / self.total_s))


def transcribe(
    map_chunks: MapChunks, audio: Audio, options: SpeechOptions, progress: Progress | None
) -> Transcript:
    """Turn sound into a transcript; model and revision are left for the engine to fill in.

    Args:
        map_chunks: `LocalEngine.map_chunks`: does work on groups of chunks side by side.
        audio: The sound.
        options: Language, beam and script.
        progress: Told the share of the speech that is done.
    """
    probabilities = speech_probabilities(audio)
    spans = find_spans(probabilities, audio.duration_s)
    chunks = plan_chunks(spans, probabilities, HOP_S, audio.duration_s)
    if not chunks:
        return empty_transcript(audio, options, spans, NO_SPEECH if audio.duration_s else NO_SOUND)
    order = spread_order(len(chunks), LANGUAGE_SAMPLE)
    chunks = [chunks[index] for index in order]
    kept: dict[tuple[Chunk, ...], Encoded] = {}
    language, certainty = decide_language(map_chunks, audio, chunks[:LANGUAGE_SAMPLE], options, kept)

    def recognize(recognizer: Recognizer, group: list[Chunk]) -> list[Passage | None]:
        encoded = kept.pop(tuple(group), None)
        if encoded is None:
            # Kept groups come first. One that does not match was split or moved to another device when
            # memory ran out: what was kept for it must go, since it fills the memory that is missing.
            kept.clear()
            encoded = recognizer.encode(audio, group)
        return recognizer.recognize(encoded, language, options.beam_size)

    track = _Track(sum(chunk.duration_s for chunk in chunks), progress)
    spoken = order_words(map_chunks(chunks, recognize, track.add))
    if repairs := plan_repairs(spoken, spans):
        log.info("decoding %d stretches of speech again that no word covers", len(repairs))
        found = map_chunks(repairs, recognize)
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
    map_chunks: MapChunks,
    audio: Audio,
    sample: list[Chunk],
    options: SpeechOptions,
    kept: dict[tuple[Chunk, ...], Encoded],
) -> tuple[str, float]:
    """The wanted language, or what speech from all over the video is likeliest to be.

    What was encoded for this is kept, so that it need not be encoded again.
    """
    if options.language != "auto":
        return options.language, 1.0

    def detect(recognizer: Recognizer, group: list[Chunk]) -> list[dict[str, float]]:
        if not recognizer.whisper.model.is_multilingual:
            return [{"en": 1.0}] * len(group)
        encoded = kept[tuple(group)] = recognizer.encode(audio, group)
        return recognizer.whisper.detect_languages(encoded.view)

    return choose_language(sample, map_chunks(sample, detect))


def order_words(passages: list[Passage | None]) -> list[SpokenWord]:
    """Every word of the passages in order of time, on the sound's own clock."""
    found = [item for passage in passages if passage for item in build_words(passage)]
    return sorted(found, key=lambda item: item.word.start_s)
