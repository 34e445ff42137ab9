"""A `SpeechEngine` whose model is in a `yivideo serve`."""

import json
import logging
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from filelock import FileLock

from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable, YivideoError
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.protocol import (
    AlignCall,
    DescribeCall,
    Description,
    Event,
    Failed,
    Result,
    Sound,
    TranscribeCall,
    Words,
    error_of,
    event_adapter,
)
from yivideo_pipeline.remote.protocol import Progress as Share
from yivideo_pipeline.settings.options import Aligner, SpeechOptions
from yivideo_pipeline.settings.sections import LOOPBACK
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.speech.engine import EngineInfo, Heard, Progress, SpeechEngine
from yivideo_pipeline.speech.loading import LocalSpeech
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.weights import WeightsStatus

CONNECT_S = 5.0
SILENCE_S = 60.0
"""The service says something every few seconds; after so long without a word it is taken for dead."""
NOT_READABLE = {"path_not_allowed", "not_found"}


@dataclass(frozen=True)
class Service:
    """Where the service is; `key` is never shown."""

    url: str
    key: str | None = None

    def __repr__(self) -> str:
        return f"Service({self.url!r})"

    @property
    def shares_disk(self) -> bool:
        """Whether it runs on this machine, so that it can read a file by its path."""
        return urlsplit(self.url).hostname in LOOPBACK

    def client(self) -> httpx.Client:
        """Return a client; close it."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        # A proxy of the environment has no business between a run and its service.
        return httpx.Client(base_url=self.url, headers=headers, timeout=timeout, trust_env=False)

    def answers(self) -> bool:
        """Tell whether it lives."""
        try:
            with self.client() as client:
                return client.get("/health", timeout=CONNECT_S).status_code == 200
        except httpx.HTTPError:
            return False

    def describe(self, options: SpeechOptions, language: str | None = None) -> Description:
        """Ask what options come to there.

        Raises:
            YivideoError: what the service raised, or that it can't be reached.
        """
        call = DescribeCall(options=options, language=language)
        with self._reached(), self.client() as client:
            answer = client.post("/v1/speech/describe", json=call.model_dump(mode="json"))
        _raise_refusal(answer)
        return Description.model_validate(answer.json())

    @contextmanager
    def _reached(self) -> Generator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise ServiceUnreachable(
                f"The service at {self.url} does not answer ({type(error).__name__})",
                "Start it with `yivideo serve`, or set speech.service_required to false",
            ) from error

    def work(
        self, path: str, call: TranscribeCall, audio: Audio, progress: Progress | None
    ) -> Iterator[Event]:
        """Have a call worked on; yields what the service says until the result.

        While the service has no place free this waits, for as long as it takes.

        Raises:
            YivideoError: what the service raised, or that it can't be reached.
        """
        by_path = self.shares_disk
        with self._reached(), self.client() as client:
            while True:
                with _send(client, path, call, audio, by_path) as answer:
                    if answer.status_code == 200:
                        yield from map(event_adapter.validate_json, filter(None, answer.iter_lines()))
                        return
                    answer.read()
                    if answer.status_code == 429:
                        _wait(float(answer.headers.get("retry-after", "1")), progress)
                    elif by_path and _problem(answer).get("kind") in NOT_READABLE:
                        by_path = False  # it sees other folders than we do: send the sound itself
                    else:
                        _raise_refusal(answer)


@contextmanager
def _send(
    client: httpx.Client, path: str, call: TranscribeCall, audio: Audio, by_path: bool
) -> Generator[httpx.Response]:
    if by_path:
        sound = Sound(path=str(audio.path.resolve()), offset_s=audio.offset_s)
        body = call.model_copy(update={"sound": sound}).model_dump_json()
        headers = {"Content-Type": "application/json"}
        with client.stream("POST", path, content=body, headers=headers) as answer:
            yield answer
        return
    body = call.model_copy(update={"offset_s": audio.offset_s}).model_dump_json()
    with audio.path.open("rb") as file:
        parts = {
            "call": ("call.json", body.encode(), "application/json"),
            "sound": ("audio.wav", file, "audio/wav"),
        }
        with client.stream("POST", f"{path}/upload", files=parts) as answer:
            yield answer


def _wait(seconds: float, progress: Progress | None) -> None:
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(1.0, left_s))
        if progress:
            progress(0.0)  # may end the wait


class RemoteEngine:
    """The service's model as an engine of this process.

    Args:
        service: Where it is.
        background: Whether other requests go first there.
    """

    def __init__(self, service: Service, background: bool = False) -> None:
        self._service = service
        self._background = background
        self._info: EngineInfo | None = None

    def describe(self) -> EngineInfo:
        """What ran where at the service, for the latest call.

        Raises:
            YivideoError: there was no call yet.
        """
        if self._info is None:
            raise YivideoError("The service was not asked for anything yet", "Transcribe something first")
        return self._info

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        heard: Heard | None = None,
    ) -> Transcript:
        """Recognize what was said; see `SpeechEngine.transcribe`."""
        call = TranscribeCall(options=options, background=self._background)
        return self._work("/v1/speech/transcribe", call, audio, progress, heard)

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Give each word its final time; see `SpeechEngine.align`."""
        call = AlignCall(options=options, background=self._background, transcript=transcript)
        return self._work("/v1/speech/align", call, audio, progress, None)

    def _work(
        self,
        path: str,
        call: TranscribeCall,
        audio: Audio,
        progress: Progress | None,
        heard: Heard | None,
    ) -> Transcript:
        fraction = 0.0
        for event in self._service.work(path, call, audio, progress):
            if isinstance(event, Result):
                self._info = replace(event.engine, backend=f"{event.engine.backend} at {self._service.url}")
                return event.transcript
            if isinstance(event, Failed):
                raise error_of(event.kind, event.message, event.hint)
            if isinstance(event, Words) and heard:
                heard(event.words)
            fraction = event.fraction if isinstance(event, Share) else fraction
            if progress:
                progress(fraction)
        raise ServiceUnreachable(
            f"The service at {self._service.url} broke off in the middle of the work",
            "It was stopped or ran out of memory; its log says more",
        )


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()["error"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _raise_refusal(answer: httpx.Response) -> None:
    if answer.status_code == 200:
        return
    problem = _problem(answer)
    if answer.status_code == 401:
        raise ConfigError("The service wants a key", "Set YIVIDEO_SERVICE__API_KEY to the one it has")
    raise error_of(
        problem.get("kind", "service"),
        problem.get("message", f"The service answered {answer.status_code}"),
        problem.get("hint", ""),
    )


# PART remote/speech.py: The speech models of a service, or of this process where the service may be missing and is.

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
