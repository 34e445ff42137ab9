"""Sounds that come with a request: kept, decoded, and given to the model in a thread of their own."""

import asyncio
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
from yivideo_pipeline.remote.protocol import Failed, Progress, Waiting, Words
from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.errors import Refused, problem_of
from yivideo_pipeline.service.media_input import keep_pcm, keep_upload, open_sound
from yivideo_pipeline.settings.options import SpeechOptions, override
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.speech.engine import ResidentEngine

# PART service/streams.py: Work in a thread of its own that a client listens to; a client that goes away ends it.

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
NDJSON = "application/x-ndjson"
LINES: dict[int | str, dict[str, Any]] = {200: {"content": {NDJSON: {}}}}
"""A route's answer, for the API's description."""

Emit = Callable[[BaseModel], None]
"""Sends an event; raises TaskCancelled once the client has gone."""


def stream_events(
    work: Callable[[Emit], BaseModel], place: AbstractContextManager[Any], where: str
) -> StreamingResponse:
    """Answer with the events of a work, its result or its error last; call it in a route's thread.

    Args:
        work: Runs in a thread of its own; what it returns is the last event.
        place: As `start_work` takes it.
        where: What is asked, for the log.
    """
    loop = from_thread.run_sync(asyncio.get_running_loop)
    return StreamingResponse(start_work(work, place, where, loop).lines(), media_type=NDJSON)


def start_work(
    work: Callable[[Emit], BaseModel],
    place: AbstractContextManager[Any],
    where: str,
    loop: asyncio.AbstractEventLoop,
) -> "News":
    """Let a work begin, in a thread of its own.

    Args:
        work: Told how to send news; what it returns is the last of them.
        place: Entered before the work begins, so that a refusal has a status of its own; left when it has
            ended, whether or not somebody still listens.
        where: What is asked, for the log.
        loop: In which somebody listens.
    """
    place.__enter__()
    news = News(where, loop)

    def run() -> None:
        outcome: BaseModel | BaseException | None = None
        try:
            outcome = work(news.emit)
        except TaskCancelled:
            log.info("%s: the client went away", where)
        except BaseException as error:  # noqa: BLE001 - raised where somebody listens
            outcome = error
        finally:
            place.__exit__(None, None, None)
        # Told last: who has the answer finds the place free.
        news.put(outcome)
        news.put(None)

    # A thread of its own: their number is bounded by the places, not by the server's pool.
    threading.Thread(target=copy_context().run, args=(run,), name="request", daemon=True).start()
    return news


class News:
    """What a work's thread says to a client of the event loop.

    Args:
        where: What is asked, for the log.
        loop: The event loop.
    """

    def __init__(self, where: str, loop: asyncio.AbstractEventLoop) -> None:
        self.where = where
        self._loop = loop
        self._events: asyncio.Queue[BaseModel | BaseException | None] = asyncio.Queue()
        self._gone = threading.Event()

    def put(self, event: BaseModel | BaseException | None) -> None:
        """Say something, an error, or with None that nothing follows; from the thread."""
        with suppress(RuntimeError):  # the loop has ended, and the client with it
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def emit(self, event: BaseModel) -> None:
        """Say something, from the thread.

        Raises:
            TaskCancelled: nobody listens any more.
        """
        if self._gone.is_set():
            raise TaskCancelled("The client has gone")
        self.put(event)

    async def events(self) -> AsyncGenerator[BaseModel]:
        """Yield what the work says, its result last, and `Waiting` now and then; raises what it raised.

        Who stops listening ends the work.
        """
        try:
            while True:
                try:
                    event = await asyncio.wait_for(self._events.get(), HEARTBEAT_S)
                except TimeoutError:
                    event = Waiting()
                if event is None:
                    return
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self._gone.set()

    async def lines(self) -> AsyncGenerator[bytes]:
        """Yield each event as a line of JSON, an error as the last of them."""
        async with aclosing(self.events()) as events:
            try:
                async for event in events:
                    yield event.model_dump_json().encode() + b"\n"
            except Exception as error:  # noqa: BLE001 - told, and in the log
                _, problem = problem_of(error, self.where)
                told = Failed(id=problem.id, kind=problem.kind, message=problem.message, hint=problem.hint)
                yield told.model_dump_json().encode() + b"\n"

    async def result(self, request: Request) -> BaseModel:
        """Wait for what the work returns; raises what it raised.

        Raises:
            Refused: the client went away; nobody gets to see it.
        """
        last: BaseModel = Waiting()
        async with aclosing(self.events()) as events:
            async for event in events:
                if await request.is_disconnected():
                    raise Refused(499, "client_gone", "The client went away")
                last = event
        return last


Do = Callable[[ResidentEngine, Audio, Emit], BaseModel]


def choose_options(settings: Settings, **asked: Any) -> SpeechOptions:
    """Return the settings' options, but for what a request asks for; what is empty was not asked for.

    Raises:
        Refused: 422, they can't be.
    """
    given = {name: value for name, value in asked.items() if value}
    try:
        return override(settings.speech.options, given)
    except ConfigValidationError as error:
        raise Refused(422, "invalid_request", "; ".join(error.message.splitlines())) from None


async def start_hearing(
    shared: ServiceState,
    request: Request,
    upload: UploadFile,
    options: SpeechOptions,
    do: Do,
    is_pcm: bool = False,
) -> News:
    """Take a place, keep what was uploaded, and begin to work on it.

    Args:
        shared: The service's state.
        request: What is asked.
        upload: A media file, or samples.
        options: Which model is wanted, and of several languages which one's sound.
        do: What is done with the sound.
        is_pcm: Whether the upload is raw 16 kHz mono 16-bit samples.

    Raises:
        Overloaded: there is no place.
        SoundTooLong: of samples; of a file the news say it.
    """
    settings = shared.settings
    with ExitStack() as stack:
        stack.enter_context(shared.admission.place())
        # Kept before the work begins: an upload is closed as soon as its request has ended.
        keeping: AbstractContextManager[Audio | Path]
        keeping = keep_pcm(upload.file, settings) if is_pcm else keep_upload(upload.file, settings)
        kept = await run_in_threadpool(lambda: stack.enter_context(keeping))
        place = stack.pop_all()

    def work(emit: Emit) -> BaseModel:
        if isinstance(kept, Audio):
            sound = nullcontext(kept)
        else:
            sound = open_sound(kept, 0.0, options.language, settings)
        with sound as audio, shared.models.lease(options) as engine:
            return do(engine, audio, emit)

    return start_work(work, place, f"POST {request.url.path}", asyncio.get_running_loop())


def transcribe(options: SpeechOptions, needs_times: bool) -> Do:
    """Return what recognizes a sound; words get their final times only where somebody wants to see them."""

    def do(engine: ResidentEngine, audio: Audio, emit: Emit) -> BaseModel:
        def tell(fraction: float) -> None:
            emit(Progress(fraction=fraction))

        said = engine.transcribe(audio, options, tell, lambda words: emit(Words(words=tuple(words))))
        return engine.align(audio, said, options, tell) if needs_times else said

    return do
