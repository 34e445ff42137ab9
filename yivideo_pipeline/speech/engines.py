"""What the engines of this process have in common: a held model, its description, the final aligner."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.align import Aligners
from yivideo_pipeline.speech.batching import OnDone
from yivideo_pipeline.speech.engine import EngineInfo, Heard, Progress
from yivideo_pipeline.speech.placement import Placement, next_smaller
from yivideo_pipeline.speech.recognizer import Piece
from yivideo_pipeline.speech.runtime import HeldModel
from yivideo_pipeline.speech.transcribe import PieceWork, detect_language
from yivideo_pipeline.speech.types import Transcript

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
