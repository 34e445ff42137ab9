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
from yivideo_pipeline.speech.recognize import Encoded, Recognizer
from yivideo_pipeline.speech.types import Span, Transcript
from yivideo_pipeline.speech.vad import HOP_S, find_spans, speech_probabilities

log = logging.getLogger(__name__)

MapChunks = Callable[..., list[Any]]
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
        reason = "no speech was heard in the sound" if audio.duration_s else "there is no sound"
        return _empty(audio, options, spans, reason)
    order = spread_order(len(chunks), LANGUAGE_SAMPLE)
    chunks = [chunks[index] for index in order]
    kept: dict[tuple[Chunk, ...], Encoded] = {}
    language, certainty = _decide_language(map_chunks, audio, chunks[:LANGUAGE_SAMPLE], options, kept)

    def recognize(recognizer: Recognizer, group: list[Chunk]) -> list[Passage | None]:
        encoded = kept.pop(tuple(group), None) or recognizer.encode(audio, group)
        return recognizer.recognize(encoded, language, options.beam_size)

    track = _Track(sum(chunk.duration_s for chunk in chunks), progress)
    spoken = _spoken(map_chunks(chunks, recognize, track.add))
    if repairs := plan_repairs(spoken, spans):
        log.info("decoding %d stretches of speech again that no word covers", len(repairs))
        found = map_chunks(repairs, recognize)
        spoken = insert_repairs(spoken, [_spoken([passage]) for passage in found])
    if not spoken:
        reason = "what was heard is no speech: music, noise, or a voice without words"
        return _empty(audio, options, spans, reason)
    segments = build_segments(spoken, audio.offset_s)
    if language in CHINESE:
        segments = [convert_segment(segment, options.zh_script) for segment in segments]
    empty = _empty(audio, options, spans, "")
    return empty.model_copy(
        update={
            "language": language,
            "language_probability": round(certainty, 4),
            "segments": tuple(segments),
            "empty_reason": None,
        }
    )


def _empty(audio: Audio, options: SpeechOptions, spans: tuple[Span, ...], reason: str) -> Transcript:
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


def _decide_language(
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


def _spoken(passages: list[Passage | None]) -> list[SpokenWord]:
    """Every word of the passages in order of time, on the sound's own clock."""
    found = [item for passage in passages if passage for item in build_words(passage)]
    return sorted(found, key=lambda item: item.word.start_s)
