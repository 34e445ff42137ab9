"""Jobs: work on a request's audio in a thread of its own, whose events the client receives.

A client that goes away ends its job.
"""

import asyncio
import hashlib
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, ExitStack, aclosing, nullcontext, suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

from anyio import from_thread
from fastapi import Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.errors.tree import ConfigValidationError, TaskCancelled
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.protocol import FailedEvent, ProgressEvent, WaitingEvent, WordsEvent
from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.errors import Refused, describe_failure
from yivideo_pipeline.settings.options import SpeechOptions, override
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.artifacts import Storage, stage_key
from yivideo_pipeline.storage.checkpoints import StoredCheckpoint

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
"""A client receives an event at least this often."""
NDJSON = "application/x-ndjson"
NDJSON_RESPONSE: dict[int | str, dict[str, Any]] = {200: {"content": {NDJSON: {}}}}
"""The response of a route that streams events, for the OpenAPI document."""

Emit = Callable[[BaseModel], None]
"""Sends an event to the client; raises TaskCancelled once the client has gone away."""
Work = Callable[[Emit], BaseModel]
"""What a job does; what it returns is the last event."""
SpeechWork = Callable[[ResidentEngine, Audio, Emit], BaseModel]
"""What a job does with a request's audio."""


class Job:
    """Work in a thread of its own, whose events a client receives on the event loop.

    Args:
        where: The request, for the log.
        loop: The client's event loop.
    """

    def __init__(self, where: str, loop: asyncio.AbstractEventLoop) -> None:
        self.where = where
        self._loop = loop
        self._events: asyncio.Queue[BaseModel | BaseException | None] = asyncio.Queue()
        self._is_client_gone = threading.Event()

    def start(self, work: Work, slot: AbstractContextManager[Any]) -> None:
        """Start the work.

        Args:
            work: What to do.
            slot: Entered before the work starts, so that a refusal gets a status of its own; left when the
                work has ended, whether or not the client is still there.
        """
        slot.__enter__()

        def run() -> None:
            result: BaseModel | BaseException | None = None
            try:
                result = work(self._emit)
            except TaskCancelled:
                log.info("%s: the client went away", self.where)
            except BaseException as error:  # noqa: BLE001 - raised again where the client receives the events
                result = error
            finally:
                slot.__exit__(None, None, None)
            # Sent last: a client that has the result finds the slot free.
            self._put(result)
            self._put(None)

        # A thread of its own: the slots bound the number of threads, not the server's pool.
        threading.Thread(target=copy_context().run, args=(run,), name="request", daemon=True).start()

    async def events(self) -> AsyncGenerator[BaseModel]:
        """Yield the work's events, its result last; raise what the work raised.

        A `WaitingEvent` stands in where the work sends none for a while. The work ends when the
        generator is closed.
        """
        try:
            while True:
                try:
                    event = await asyncio.wait_for(self._events.get(), HEARTBEAT_S)
                except TimeoutError:
                    event = WaitingEvent()
                if event is None:
                    return
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self._is_client_gone.set()

    async def lines(self) -> AsyncGenerator[bytes]:
        """Yield each event as a line of JSON; an error is the last of them."""
        async with aclosing(self.events()) as events:
            try:
                async for event in events:
                    yield event.model_dump_json().encode() + b"\n"
            except Exception as error:  # noqa: BLE001 - sent to the client and logged
                _, problem = describe_failure(error, self.where)
                event = FailedEvent(
                    id=problem.id, kind=problem.kind, message=problem.message, hint=problem.hint
                )
                yield event.model_dump_json().encode() + b"\n"

    async def result(self, request: Request) -> BaseModel:
        """Wait for the work's result; raise what the work raised.

        Raises:
            Refused: The client went away, so nobody sees this status.
        """
        last: BaseModel = WaitingEvent()
        async with aclosing(self.events()) as events:
            async for event in events:
                if await request.is_disconnected():
                    raise Refused(499, "client_gone", "The client went away")
                last = event
        return last

    def _emit(self, event: BaseModel) -> None:
        if self._is_client_gone.is_set():
            raise TaskCancelled("The client has gone")
        self._put(event)

    def _put(self, event: BaseModel | BaseException | None) -> None:
        """Send an event, an error, or None for the end, from the job's thread."""
        with suppress(RuntimeError):  # the loop has ended, and the client with it
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)


def stream_job(work: Work, slot: AbstractContextManager[Any], where: str) -> StreamingResponse:
    """Start a job and respond with its events as lines of JSON; call it in a route's thread.

    Args:
        work: What to do.
        slot: See `Job.start`.
        where: The request, for the log.
    """
    job = Job(where, from_thread.run_sync(asyncio.get_running_loop))
    job.start(work, slot)
    return StreamingResponse(job.lines(), media_type=NDJSON)


async def start_speech_job(
    shared: ServiceState,
    request: Request,
    upload: UploadFile,
    options: SpeechOptions,
    work: SpeechWork,
    is_pcm: bool = False,
) -> Job:
    """Take a slot, keep what was uploaded, and start the work on it.

    Args:
        shared: The service's state.
        request: The request.
        upload: A media file, or samples.
        options: The wanted model, and the language of the stream to choose.
        work: What to do with the audio.
        is_pcm: Whether the upload is raw 16 kHz mono 16-bit samples.

    Raises:
        Overloaded: All slots are taken.
        AudioTooLong: There are too many samples; too long a file fails the job instead.
    """
    media = shared.media
    with ExitStack() as stack:
        stack.enter_context(shared.admission.slot())
        # Kept before the work starts: an upload is closed as soon as its request has ended.
        keeping: AbstractContextManager[Audio | Path]
        keeping = media.keep_pcm(upload.file) if is_pcm else media.keep_file(upload.file)
        kept = await run_in_threadpool(lambda: stack.enter_context(keeping))
        slot = stack.pop_all()

    def work_on_audio(emit: Emit) -> BaseModel:
        opened = nullcontext(kept) if isinstance(kept, Audio) else media.open_audio(kept, 0.0, options)
        with shared.measured(), opened as audio, shared.models.manager.lease(options) as engine:
            return work(engine, audio, emit)

    job = Job(f"POST {request.url.path}", asyncio.get_running_loop())
    job.start(work_on_audio, slot)
    return job


def transcribe(shared: ServiceState, options: SpeechOptions, needs_times: bool) -> SpeechWork:
    """Return the work that transcribes audio; it aligns the words only where their times are shown.

    A client that comes back after its connection or this service broke off gets the rest done.
    """

    def work(engine: ResidentEngine, audio: Audio, emit: Emit) -> BaseModel:
        def on_progress(fraction: float) -> None:
            emit(ProgressEvent(fraction=fraction))

        checkpoint = _open_checkpoint(shared.storage, engine, audio, options)
        transcript = engine.transcribe(
            audio, options, on_progress, lambda words: emit(WordsEvent(words=tuple(words))), checkpoint
        )
        timed = engine.align(audio, transcript, options, on_progress) if needs_times else transcript
        checkpoint.remove()
        return timed

    return work


def _open_checkpoint(
    storage: Storage, engine: ResidentEngine, audio: Audio, options: SpeechOptions
) -> StoredCheckpoint:
    """Return the checkpoint of a sound that nobody has a name for: equal sounds and options share it."""
    with audio.path.open("rb") as file:
        sound = hashlib.file_digest(file, "sha256").hexdigest()
    decides = {**options.model_dump(mode="json"), "weights": engine.describe().revision}
    key = stage_key("request", STAGES["transcript"].code_version, {"sound": sound}, decides)
    return StoredCheckpoint(storage.files, f"request-{key}")


def override_options(options: SpeechOptions, **given: Any) -> SpeechOptions:
    """Return the options with a request's values in place of their own; an empty value is not given.

    Raises:
        Refused: 422, the values are not allowed.
    """
    try:
        return override(options, {name: None if value == "" else value for name, value in given.items()})
    except ConfigValidationError as error:
        field = error.message.partition(":")[0]
        raise Refused(
            422,
            "invalid_request",
            "; ".join(error.message.splitlines()),
            param=field if field in given else None,
        ) from None
