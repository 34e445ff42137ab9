"""The client of a `yivideo serve`: its HTTP calls, an engine whose model is there, and its speech models."""

import json
import logging
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock

from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable, YivideoError
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.protocol import (
    AlignCall,
    DescribeCall,
    FailedEvent,
    KeptEvent,
    LanguageEvent,
    OptionsDescription,
    ProgressEvent,
    ResultEvent,
    ResumedEvent,
    SharedAudio,
    SpeechEvent,
    TranscribeCall,
    WordsEvent,
    error_of,
    event_adapter,
)
from yivideo_pipeline.settings.options import Aligner, SpeechOptions
from yivideo_pipeline.settings.sections import LOOPBACK
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL
from yivideo_pipeline.speech.engine import Checkpoint, EngineInfo, OnWords, Progress, SpeechEngine
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.weights import WeightsStatus
from yivideo_pipeline.telemetry.measure import StageMetrics

if TYPE_CHECKING:
    from ssl import SSLContext

    import httpx  # imported when a service is called

CONNECT_S = 5.0
ANSWER_S = 60.0
SILENCE_S = 20.0
"""At work the service sends an event every 5 s; after this time without one it is taken for dead."""
UNREADABLE_KINDS = {"path_not_allowed", "not_found"}
"""Kinds of errors about a path that this process reads and the service does not."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServiceClient:
    """Calls of a service at an address; its representation does not show the key."""

    url: str
    key: str | None = None

    def __repr__(self) -> str:
        return f"ServiceClient({self.url!r})"

    @property
    def shares_disk(self) -> bool:
        """Whether the service runs on this machine, so that it can read a file by its path."""
        return urlsplit(self.url).hostname in LOOPBACK

    def open(self) -> "httpx.Client":
        """Return an open HTTP client; the caller closes it."""
        import httpx

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        # The environment's proxy must not stand between a run and its service.
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=timeout, trust_env=False, verify=_certificates()
        )

    def answers(self) -> bool:
        """Return whether the service is alive."""
        import httpx

        try:
            with self.open() as client:
                return client.get("/health", timeout=CONNECT_S).status_code == 200
        except httpx.HTTPError:
            return False

    def describe(self, options: SpeechOptions, language: str | None = None) -> OptionsDescription:
        """Return the options as the service resolves them.

        Raises:
            YivideoError: the service's own error, or that it can't be reached.
        """
        call = DescribeCall(options=options, language=language)
        with self._reached(), self.open() as client:
            answer = client.post("/v1/speech/describe", json=call.model_dump(mode="json"))
        if answer.status_code != 200:
            _raise_refusal(answer)
        return OptionsDescription.model_validate(answer.json())

    @contextmanager
    def _reached(self) -> Generator[None]:
        import httpx

        try:
            yield
        except httpx.HTTPError as error:
            raise _silent(self.url, f" ({type(error).__name__})") from error

    def work(
        self, path: str, call: TranscribeCall, audio: Audio, progress: Progress | None
    ) -> Iterator[SpeechEvent]:
        """Send a call and yield the service's events up to the result.

        While the service is full this waits, without limit.

        Raises:
            YivideoError: the service's own error, or that it can't be reached.
        """
        by_path = self.shares_disk
        with self._reached(), self.open() as client:
            while True:
                with _send(client, path, call, audio, by_path) as answer:
                    if answer.status_code == 200:
                        answer.request.extensions["timeout"]["read"] = SILENCE_S  # for each read from now on
                        yield from map(event_adapter.validate_json, filter(None, answer.iter_lines()))
                        return
                    answer.read()
                    if answer.status_code == 429:
                        _wait(float(answer.headers.get("retry-after", "1")), progress)
                    elif by_path and _problem(answer).get("kind") in UNREADABLE_KINDS:
                        by_path = False  # the service sees other folders: upload the sound itself
                    else:
                        _raise_refusal(answer)


def _silent(url: str, how: str = "") -> ServiceUnreachable:
    return ServiceUnreachable(
        f"The service at {url} does not answer{how}",
        "Start it with `yivideo serve`, or set speech.service_required to false",
    )


@cache
def _certificates() -> "SSLContext":
    """Return what checks certificates, for all clients: to read them takes 25 ms of the processor."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


class RemoteEngine:
    """An engine whose model is in the service.

    Args:
        service: The service.
        background: Whether other requests have priority there.

    Attributes:
        cost: What the latest call cost the service; None before the first one.
    """

    def __init__(self, service: ServiceClient, background: bool = False) -> None:
        self.cost: StageMetrics | None = None
        self._service = service
        self._background = background
        self._info: EngineInfo | None = None

    def describe(self) -> EngineInfo:
        """Return what ran where at the service in the latest call.

        Raises:
            YivideoError: there was no call yet.
        """
        if self._info is None:
            raise YivideoError("Nothing was sent to the service yet", "Transcribe something first")
        return self._info

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        """Recognize what was said; see `SpeechEngine.transcribe`.

        The checkpoint stays on this side, so that it outlives the service, too.
        """
        finished = None if checkpoint is None else dict(checkpoint.load())
        call = TranscribeCall(options=options, background=self._background, finished=finished)
        return self._transcript("/v1/speech/transcribe", call, audio, progress, on_words, checkpoint)

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Give each word its final time; see `SpeechEngine.align`."""
        call = AlignCall(options=options, background=self._background, transcript=transcript)
        return self._transcript("/v1/speech/align", call, audio, progress)

    def detect_language(
        self, audio: Audio, options: SpeechOptions, progress: Progress | None = None
    ) -> tuple[str, float]:
        """Detect the spoken language; see `ResidentEngine.detect_language`."""
        call = TranscribeCall(options=options, background=self._background)
        found = self._work("/v1/speech/language", call, audio, progress)
        assert isinstance(found, LanguageEvent)
        return found.language, found.probability

    def _transcript(
        self,
        path: str,
        call: TranscribeCall,
        audio: Audio,
        progress: Progress | None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        found = self._work(path, call, audio, progress, on_words, checkpoint)
        assert isinstance(found, ResultEvent)
        self.cost = found.cost
        self._info = replace(found.engine, backend=f"{found.engine.backend} at {self._service.url}")
        return found.transcript

    def _work(
        self,
        path: str,
        call: TranscribeCall,
        audio: Audio,
        progress: Progress | None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> ResultEvent | LanguageEvent:
        fraction = 0.0
        for event in self._service.work(path, call, audio, progress):
            if isinstance(event, ResultEvent | LanguageEvent):
                return event
            if isinstance(event, FailedEvent):
                raise error_of(event.kind, event.message, event.hint)
            if isinstance(event, WordsEvent) and on_words:
                on_words(event.words)
            if isinstance(event, KeptEvent) and checkpoint:
                checkpoint.save(event.entries)
            if isinstance(event, ResumedEvent) and checkpoint:
                checkpoint.note_resumed(event.sound_s)
            fraction = event.fraction if isinstance(event, ProgressEvent) else fraction
            if progress:
                progress(fraction)
        raise ServiceUnreachable(
            f"The service at {self._service.url} broke off in the middle of the work",
            "It was stopped or ran out of memory; see its log",
        )


def choose_speech(settings: Settings) -> "LocalSpeech | RemoteSpeech":
    """Return the speech models of the service that the settings name, else those of this process."""
    local = LocalSpeech(settings)
    return RemoteSpeech(settings, local) if settings.speech.service_url else local


class RemoteSpeech:
    """The speech models of the service that `speech.service_url` names.

    Each call checks whether the service is alive, so that a run that begins during its restart does not
    fail.

    Args:
        settings: Name the service, its key, and whether it is required.
        local: Used instead where the service does not answer and is not required.

    Raises:
        ValueError: the settings name no service.
    """

    def __init__(self, settings: Settings, local: LocalSpeech) -> None:
        if settings.speech.service_url is None:
            raise ValueError("speech.service_url is not set")
        key = settings.service.api_key
        self._service = ServiceClient(settings.speech.service_url, key.get_secret_value() if key else None)
        self._required = settings.speech.service_required
        settings.home.joinpath("locks").mkdir(parents=True, exist_ok=True)
        self._model_lock = FileLock(settings.home / "locks" / "model.lock")
        self._local = local

    def silent_service(self) -> str:
        """Return the service where it is required and does not answer now; empty otherwise."""
        away = self._required and not self._service.answers()
        return f"the service at {self._service.url}" if away else ""

    def choose(self, options: SpeechOptions) -> ModelChoice:
        """Return the options with the model that `auto` means where the models run.

        The service is asked each time: where it has stopped since, this process decides for itself.
        """
        if options.model_name != AUTO_MODEL:
            return ModelChoice(options)
        if not self._is_alive():
            return self._local.choose(options)
        there = self._service.describe(options)
        return ModelChoice(options.model_copy(update={"model_name": there.model_name}), there.reason)

    def check(self, options: SpeechOptions) -> tuple[str, ...]:
        """Return warnings about the options where the models run; see `SpeechResource.check`."""
        if self._is_alive():
            return self._service.describe(options).warnings
        return (*self._local.check(options), self._why_local())

    def prepare(self, options: SpeechOptions) -> None:
        """Do nothing: the service keeps its models loaded, or loads them for whoever comes first."""

    def revision(self, options: SpeechOptions) -> str:
        """Return the revision of the weights where the models run; see `SpeechResource.revision`."""
        return self._service.describe(options).revision if self._is_alive() else self._local.revision(options)

    def weights(self, options: SpeechOptions) -> WeightsStatus:
        """Return whether the weights can be had where the models run; a service fetches its own."""
        if self._is_alive():
            return WeightsStatus("present", self._service.url)
        return self._local.weights(options)

    def aligner(self, options: SpeechOptions, transcript: Transcript) -> Aligner:
        """Return the aligner of these words where the models run; see `SpeechResource.aligner`."""
        if not transcript.words:
            return Aligner.ATTENTION
        if not self._is_alive():
            return self._local.aligner(options, transcript)
        used = {self._service.describe(options, one).aligner for one in transcript.languages}
        return Aligner.WAV2VEC2 if Aligner.WAV2VEC2 in used else Aligner.ATTENTION

    @contextmanager
    def engine(self, options: SpeechOptions, background: bool = False) -> Generator[SpeechEngine]:
        """Lend an engine; see `SpeechResource.engine`.

        Raises:
            ServiceUnreachable: the service is required and does not answer.
        """
        if self._is_alive():
            yield RemoteEngine(self._service, background)
            return
        log.warning(self._why_local())
        # Many runs may call the service at once, but their own models may not fit beside each other.
        with self._model_lock, self._local.engine(options, note=self._why_local()) as engine:
            yield engine

    def _is_alive(self) -> bool:
        alive = self._service.answers()
        if not alive and self._required:
            raise _silent(self._service.url)
        return alive

    def _why_local(self) -> str:
        return f"the service at {self._service.url} did not answer; the model was loaded in the run itself"


@contextmanager
def _send(
    client: "httpx.Client", path: str, call: TranscribeCall, audio: Audio, by_path: bool
) -> Generator["httpx.Response"]:
    if by_path:
        sound = SharedAudio(path=str(audio.path.resolve()), offset_s=audio.offset_s)
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


def _problem(answer: "httpx.Response") -> dict[str, Any]:
    try:
        found = answer.json()["error"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _raise_refusal(answer: "httpx.Response") -> None:
    unknown = {"kind": "service", "message": f"The service answered {answer.status_code}", "hint": ""}
    problem = unknown | _problem(answer)
    if answer.status_code == 401:
        raise ConfigError("The service requires a key", "Set YIVIDEO_SERVICE__API_KEY to its key")
    raise error_of(problem["kind"], problem["message"], problem["hint"])
