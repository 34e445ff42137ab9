"""The engine that runs Whisper in this process: batched, on CTranslate2."""

from collections.abc import Callable, Sequence
from typing import Any

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.align import Aligners
from yivideo_pipeline.speech.batching import Batcher, OnDone
from yivideo_pipeline.speech.engine import Heard, Progress
from yivideo_pipeline.speech.engines import HeldEngine
from yivideo_pipeline.speech.placement import Placement
from yivideo_pipeline.speech.recognizer import Piece, Recognizer
from yivideo_pipeline.speech.transcribe import PieceWork, transcribe
from yivideo_pipeline.speech.types import Transcript


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
