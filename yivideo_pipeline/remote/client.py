"""A `SpeechEngine` whose model is in a `yivideo serve`."""

import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

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
    plain_options,
)
from yivideo_pipeline.remote.protocol import Progress as Share
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.service import LOOPBACK
from yivideo_pipeline.speech.engine import EngineInfo, Heard, Progress
from yivideo_pipeline.speech.types import Transcript

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
        call = DescribeCall(options=plain_options(options), language=language)
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
        call = TranscribeCall(options=plain_options(options), background=self._background)
        return self._work("/v1/speech/transcribe", call, audio, progress, heard)

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Give each word its final time; see `SpeechEngine.align`."""
        call = AlignCall(options=plain_options(options), background=self._background, transcript=transcript)
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
