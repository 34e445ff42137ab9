"""WhisperX's own pipeline behind the `SpeechEngine` protocol.

WhisperX finds speech (pyannote), batches and recognizes. Language, word times, sentences and script
are settled as by the local engine, so that only the text depends on the choice of backend.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.align import Aligners
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.batching import OnDone
from yivideo_pipeline.speech.chunks import Chunk, plan_chunks
from yivideo_pipeline.speech.engine import Heard, Progress
from yivideo_pipeline.speech.engines import HeldEngine
from yivideo_pipeline.speech.language import spread_order
from yivideo_pipeline.speech.placement import Placement
from yivideo_pipeline.speech.quiet import quiet_libraries
from yivideo_pipeline.speech.recognizer import Piece
from yivideo_pipeline.speech.transcribe import (
    LANGUAGE_SAMPLE,
    NO_SOUND,
    NO_SPEECH,
    NO_WORDS,
    PieceWork,
    assemble_transcript,
    decide_language,
    empty_transcript,
    order_words,
    words_on_video,
)
from yivideo_pipeline.speech.types import Span, Transcript
from yivideo_pipeline.speech.vad import HOP_S, find_spans, speech_probabilities
from yivideo_pipeline.speech.whisperx import Stretch, WhisperXModel

STRETCH_S = 600.0
"""Sound that the pipeline is given at once; it wants all of it in memory, at 64 kB a second."""


class WhisperXEngine(HeldEngine[WhisperXModel]):
    """WhisperX in this process; of several threads, one transcribes at a time."""

    backend = "whisperx"

    def __init__(
        self,
        model: str,
        revision: str,
        placement: Placement,
        load: Callable[[Placement], WhisperXModel],
        aligners: Aligners,
    ) -> None:
        super().__init__(model, revision, placement, load, aligners)
        self._turn = threading.Lock()

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        heard: Heard | None = None,
    ) -> Transcript:
        """Recognize what was said; see `SpeechEngine.transcribe`."""
        with self._turn, quiet_libraries():
            return super().transcribe(audio, options, progress, heard)

    def _transcribe(
        self, audio: Audio, options: SpeechOptions, progress: Progress | None, heard: Heard | None
    ) -> Transcript:
        probabilities = speech_probabilities(audio)
        spans = find_spans(probabilities, audio.duration_s)
        chunks = plan_chunks(spans, probabilities, HOP_S, audio.duration_s)
        if not chunks:
            return empty_transcript(audio, options, spans, NO_SPEECH if audio.duration_s else NO_SOUND)
        sample = [chunks[index] for index in spread_order(len(chunks), LANGUAGE_SAMPLE)[:LANGUAGE_SAMPLE]]
        pieces = [Piece(audio, chunk) for chunk in sample]
        language, certainty, _ = decide_language(self._map, pieces, options)
        stretches = plan_stretches(chunks)
        total_s = sum(stretch.duration_s for stretch in stretches)
        passages: list[Passage | None] = []
        done_s = 0.0
        for stretch in stretches:
            tell = _part_of(progress, done_s / total_s, stretch.duration_s / total_s)
            found = self._recognize(audio, stretch, language, options, tell)
            if heard:
                heard(words_on_video(found, audio, options, language))
            passages += found
            done_s += stretch.duration_s
        spoken = order_words(passages)
        if not spoken:
            return empty_transcript(audio, options, spans, NO_WORDS)
        return assemble_transcript(audio, options, spans, spoken, (language, certainty))

    def _recognize(
        self, audio: Audio, stretch: Stretch, language: str, options: SpeechOptions, tell: Progress
    ) -> list[Passage]:
        def recognize(model: WhisperXModel, place: Placement) -> list[Passage]:
            chosen = options.model_copy(update={"batch_size": self._adapt(place).batch_size})
            return model.transcribe(audio, stretch, language, chosen, tell)

        return self._held.run(recognize)

    def _map(self, pieces: Sequence[Piece], work: PieceWork, on_done: OnDone | None = None) -> list[Any]:
        def do_all(model: WhisperXModel, place: Placement) -> list[Any]:
            size = self._adapt(place).batch_size
            results: list[Any] = []
            for at in range(0, len(pieces), size):
                group = list(pieces[at : at + size])
                results += work(model.recognizer, group)
                if on_done:
                    on_done(group, results[at:])
            return results

        return self._held.run(do_all)


def plan_stretches(chunks: list[Chunk]) -> list[Stretch]:
    """Join the pieces of chunks, in order, to stretches of at most 10 min."""
    groups: list[list[Span]] = []
    for piece in (piece for chunk in chunks for piece in chunk.pieces):
        if not groups or piece.end_s - groups[-1][0].start_s > STRETCH_S:
            groups.append([])
        groups[-1].append(piece)
    return [Stretch(tuple(group)) for group in groups]


def _part_of(progress: Progress | None, before: float, share: float) -> Progress:
    def tell(fraction: float) -> None:
        if progress:
            progress(min(1.0, before + share * fraction))

    return tell
