"""What the engines of this process have in common: a held model, its description, the final aligner."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.align import Aligners
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.batching import Batcher, OnDone
from yivideo_pipeline.speech.chunks import Chunk, plan_chunks
from yivideo_pipeline.speech.engine import EngineInfo, Heard, Progress
from yivideo_pipeline.speech.recognizer import Piece, Recognizer
from yivideo_pipeline.speech.runtime import HeldModel, Placement, next_smaller, quiet_libraries
from yivideo_pipeline.speech.transcribe import (
    LANGUAGE_SAMPLE,
    NO_SOUND,
    NO_SPEECH,
    NO_WORDS,
    PieceWork,
    assemble_transcript,
    decide_language,
    detect_language,
    empty_transcript,
    order_words,
    spread_order,
    transcribe,
    words_on_video,
)
from yivideo_pipeline.speech.types import Span, Transcript
from yivideo_pipeline.speech.vad import HOP_S, find_spans, speech_probabilities
from yivideo_pipeline.speech.whisperx import Stretch, WhisperXModel

Model = TypeVar("Model")


class HeldEngine(ABC, Generic[Model]):
    """A `ResidentEngine` around one loaded model that gives way when memory runs out.

    Args:
        model: Name for people.
        revision: What identifies the weights.
        placement: Where to run at first.
        load: Makes the model for a placement; called again with a smaller one when memory runs out.
        aligners: What gives words their final times.

    Raises:
        YivideoError: when not even the smallest placement loads.
    """

    backend: ClassVar[str]

    def __init__(
        self,
        model: str,
        revision: str,
        placement: Placement,
        load: Callable[[Placement], Model],
        aligners: Aligners,
    ) -> None:
        self._model = model
        self._revision = revision
        self._aligners = aligners
        self._batch_size = placement.batch_size  # of the latest call
        self._held = HeldModel(placement, load, next_smaller)
        self._held.current()

    def describe(self) -> EngineInfo:
        """What runs where, as it is now."""
        place = self._adapt(self._held.place)
        return EngineInfo(
            model=self._model,
            revision=self._revision,
            device=place.device,
            compute_type=place.compute_type,
            batch_size=place.batch_size,
            threads=place.threads,
            backend=self.backend,
            steps=self._held.steps + self._aligners.steps,
        )

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        heard: Heard | None = None,
    ) -> Transcript:
        """Recognize what was said; see `SpeechEngine.transcribe`."""
        self._batch_size = options.batch_size
        transcript = self._transcribe(audio, options, progress, heard)
        return transcript.model_copy(update={"model": self._model, "revision": self._revision})

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Give each word its final time; see `SpeechEngine.align`."""
        return self._aligners.align(audio, transcript, options, self._held.place.device, progress)

    def detect_language(self, audio: Audio, progress: Progress | None = None) -> tuple[str, float]:
        """Say which language is spoken; see `ResidentEngine.detect_language`."""
        return detect_language(self._map, audio, progress)

    @abstractmethod
    def _map(self, pieces: Sequence[Piece], work: PieceWork, on_done: OnDone | None = None) -> list[Any]:
        """Do work on pieces of sound; one result a piece, in order."""

    @abstractmethod
    def _transcribe(
        self, audio: Audio, options: SpeechOptions, progress: Progress | None, heard: Heard | None
    ) -> Transcript:
        """Recognize what was said; model and revision are filled in afterwards."""

    def _adapt(self, place: Placement) -> Placement:
        """The placement with the batch size of the latest call, unless it had to give way."""
        return place.with_batch(self._batch_size, given_way=bool(self._held.steps))


# PART speech/local.py: The engine that runs Whisper in this process: batched, on CTranslate2.


class LocalEngine(HeldEngine[Recognizer]):
    """Whisper in this process; safe to be used by several threads at once, whose chunks share batches."""

    backend = "faster-whisper"

    def __init__(
        self,
        model: str,
        revision: str,
        placement: Placement,
        load: Callable[[Placement], Recognizer],
        aligners: Aligners,
    ) -> None:
        super().__init__(model, revision, placement, load, aligners)
        self.batcher: Batcher[Any] = Batcher(self._held, self._adapt)

    def _transcribe(
        self, audio: Audio, options: SpeechOptions, progress: Progress | None, heard: Heard | None
    ) -> Transcript:
        return transcribe(self._map, audio, options, progress, heard)

    def _map(self, pieces: Sequence[Piece], work: PieceWork, on_done: OnDone | None = None) -> list[Any]:
        return self.batcher.map(pieces, work, on_done)


# PART speech/whisperx_engine.py: WhisperX's own pipeline behind the `SpeechEngine` protocol.
#
# WhisperX finds speech (pyannote), batches and recognizes. Language, word times, sentences and script
# are settled as by the local engine, so that only the text depends on the choice of backend.

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
