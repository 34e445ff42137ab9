"""Work in a thread of its own that a client listens to; a client that goes away ends it."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing, suppress
from contextvars import copy_context
from typing import Any

from anyio import from_thread
from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from yivideo_pipeline.errors.tree import TaskCancelled
from yivideo_pipeline.remote.protocol import Failed, Waiting
from yivideo_pipeline.service.errors import Refused, problem_of

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
