"""A leased engine: an engine that is only there as long as its lease."""

from yivideo_pipeline.errors.tree import ConfigValidationError, ModelError
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.resolve import MAX_CPU_BATCH
from yivideo_pipeline.speech.engine import EngineInfo, Heard, Progress, ResidentEngine
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.usage import Record


class LeasedEngine:
    """Passes calls on to an engine until the lease ends, and records how they went.

    The variable of a `with` statement outlives its block. If it held the engine itself, the weights
    would stay in memory while the next model is loaded.
    """

    def __init__(self, engine: ResidentEngine, record: Record) -> None:
        self._engine: ResidentEngine | None = engine
        self._record = record

    def describe(self) -> EngineInfo:
        """See `SpeechEngine.describe`."""
        return self._use().describe()

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        heard: Heard | None = None,
    ) -> Transcript:
        """See `SpeechEngine.transcribe`.

        Raises:
            ConfigValidationError: a batch over what a CPU takes; no load has checked this call's options.
        """
        _check_batch(options.batch_size, self.describe())
        with self._record.attempt():
            transcript = self._use().transcribe(audio, options, progress, heard)
        self._record.add_audio(audio.duration_s)
        return transcript

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """See `SpeechEngine.align`."""
        with self._record.attempt():
            return self._use().align(audio, transcript, options, progress)

    def detect_language(self, audio: Audio, progress: Progress | None = None) -> tuple[str, float]:
        """See `ResidentEngine.detect_language`."""
        with self._record.attempt():
            return self._use().detect_language(audio, progress)

    def end(self) -> None:
        """Let go of the engine."""
        self._engine = None

    def _use(self) -> ResidentEngine:
        if self._engine is None:
            raise ModelError("The lease of the model has ended", "Use the engine inside the with block")
        return self._engine


def _check_batch(batch_size: int, info: EngineInfo) -> None:
    # An engine that had to leave the GPU runs with less than was asked, by its own choice.
    if info.device == "cpu" and not info.steps and batch_size > MAX_CPU_BATCH:
        raise ConfigValidationError(
            f"batch_size: {batch_size} is over {MAX_CPU_BATCH}, the most on a CPU: lower it"
        )
