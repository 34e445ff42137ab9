"""The speech models of a service, or of this process where the service may be missing and is."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from filelock import FileLock

from yivideo_pipeline.errors.tree import ServiceUnreachable
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.client import RemoteEngine, Service
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.options import Aligner, SpeechOptions
from yivideo_pipeline.speech.engine import EngineInfo, Heard, Progress, SpeechEngine
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.weights import WeightsStatus

log = logging.getLogger(__name__)


def choose_speech(settings: Settings) -> "LocalSpeech | RemoteSpeech":
    """Return the models of the service that the settings name, or of this process where they name none."""
    local = LocalSpeech(settings)
    return RemoteSpeech(settings, local) if settings.speech.service_url else local


class RemoteSpeech:
    """The models of the service that `speech.service_url` names.

    Each call asks anew whether the service lives: a run that begins while it restarts is not lost to it.

    Args:
        settings: Name the service, its key, and whether it is required.
        local: Takes over where it does not answer and is not required.

    Raises:
        ValueError: the settings name no service.
    """

    def __init__(self, settings: Settings, local: LocalSpeech) -> None:
        if settings.speech.service_url is None:
            raise ValueError("speech.service_url is not set")
        key = settings.service.api_key
        self._service = Service(settings.speech.service_url, key.get_secret_value() if key else None)
        self._required = settings.speech.service_required
        settings.home.joinpath("locks").mkdir(parents=True, exist_ok=True)
        self._turn = FileLock(settings.home / "locks" / "model.lock")
        self._local = local

    def check(self, options: SpeechOptions) -> tuple[str, ...]:
        """Return warnings about the options where the models are; see `SpeechResource.check`."""
        if self._is_there():
            return self._service.describe(options).warnings
        return (*self._local.check(options), self._missing())

    def revision(self, options: SpeechOptions) -> str:
        """Return the revision of the weights where the models are; see `SpeechResource.revision`."""
        return self._service.describe(options).revision if self._is_there() else self._local.revision(options)

    def weights(self, options: SpeechOptions) -> WeightsStatus:
        """Tell whether the weights can be had where the models are; a service sees to its own."""
        if self._is_there():
            return WeightsStatus("present", self._service.url)
        return self._local.weights(options)

    def aligner(self, options: SpeechOptions, said: Transcript) -> Aligner:
        """Return what times these words where the models are; see `SpeechResource.aligner`."""
        if not said.words:
            return Aligner.ATTENTION
        if not self._is_there():
            return self._local.aligner(options, said)
        return Aligner(self._service.describe(options, said.language).aligner or Aligner.ATTENTION)

    @contextmanager
    def engine(self, options: SpeechOptions, background: bool = False) -> Generator[SpeechEngine]:
        """Lend an engine; see `SpeechResource.engine`.

        Raises:
            ServiceUnreachable: the service is required and does not answer.
        """
        if self._is_there():
            yield RemoteEngine(self._service, background)
            return
        log.warning(self._missing())
        # Runs ask the service side by side; models of their own beside each other may not fit.
        with self._turn, self._local.engine(options) as engine:
            yield _StandIn(engine, self._missing())

    def _is_there(self) -> bool:
        there = self._service.answers()
        if not there and self._required:
            raise ServiceUnreachable(
                f"The service at {self._service.url} does not answer",
                "Start it with `yivideo serve`, or set speech.service_required to false",
            )
        return there

    def _missing(self) -> str:
        return f"the service at {self._service.url} did not answer; the model was loaded in the run itself"


class _StandIn:
    """An engine of this process that says that it took over for the service."""

    def __init__(self, engine: SpeechEngine, why: str) -> None:
        self._engine = engine
        self._why = why

    def describe(self) -> EngineInfo:
        """See `SpeechEngine.describe`; the first step says why the model is here."""
        info = self._engine.describe()
        return replace(info, steps=(self._why, *info.steps))

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        heard: Heard | None = None,
    ) -> Transcript:
        """See `SpeechEngine.transcribe`."""
        return self._engine.transcribe(audio, options, progress, heard)

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """See `SpeechEngine.align`."""
        return self._engine.align(audio, transcript, options, progress)
