"""Work in a thread whose news go to the client line by line; a client that goes away ends it."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

from anyio import from_thread
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from yivideo_pipeline.errors.tree import TaskCancelled
from yivideo_pipeline.remote.wire import Failed, Waiting
from yivideo_pipeline.service.errors import problem_of

log = logging.getLogger(__name__)

NDJSON = "application/x-ndjson"
HEARTBEAT_S = 5.0

Emit = Callable[[BaseModel], None]
"""Sends an event; raises TaskCancelled once the client has gone."""


def stream_events(
    work: Callable[[Emit], BaseModel], place: AbstractContextManager[Any], where: str
) -> StreamingResponse:
    """Answer with the events of a work, its result or its error last; call it in a route's thread.

    Args:
        work: Runs in a thread of its own; what it returns is the last event.
        place: Entered before the answer begins, so that a refusal has a status of its own; left when the
            work has ended, whether or not somebody still listens.
        where: What is asked, for the log.
    """
    place.__enter__()
    news = _News(from_thread.run_sync(asyncio.get_running_loop))

    def run() -> None:
        try:
            news.emit(work(news.emit))
        except TaskCancelled:
            log.info("%s: the client went away", where)
        except BaseException as error:  # noqa: BLE001 - told, and in the log
            _, problem = problem_of(error, where)
            news.put(Failed(id=problem.id, kind=problem.kind, message=problem.message, hint=problem.hint))
        finally:
            place.__exit__(None, None, None)
            news.put(None)

    # A thread of its own: their number is bounded by the places, not by the server's pool.
    threading.Thread(target=run, name="request", daemon=True).start()
    return StreamingResponse(news.lines(), media_type=NDJSON)


class _News:
    """What a thread says to a client of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: asyncio.Queue[BaseModel | None] = asyncio.Queue()
        self._gone = threading.Event()

    def put(self, event: BaseModel | None) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the client with it
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def emit(self, event: BaseModel) -> None:
        if self._gone.is_set():
            raise TaskCancelled("The client has gone")
        self.put(event)

    async def lines(self) -> AsyncGenerator[bytes]:
        try:
            while True:
                try:
                    event = await asyncio.wait_for(self._events.get(), HEARTBEAT_S)
                except TimeoutError:
                    event = Waiting()
                if event is None:
                    return
                yield event.model_dump_json().encode() + b"\n"
        finally:
            self._gone.set()
