"""What clients may hold open: connections, and bodies that arrive slowly or grow large."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from uvicorn.server import ServerState

MB = 1024 * 1024
MAX_IN_MEMORY_MB = 16
"""Limit of bodies that are read into memory, as JSON is; enough for a day of transcript."""
UPLOAD_PATH = "/library/upload"
"""Here the body itself is the file, which is written while it arrives."""
BODY_PATIENCE_S = 30.0
BODY_PACE_BYTES = 16 * 1024
"""So much of a body must arrive within each `BODY_PATIENCE_S` of waiting, or the rest of it."""


class BodyTooLarge(HTTPException):
    """A body that is larger than the service accepts.

    It is one of Starlette's own errors, since FastAPI takes any other error that is raised while it reads a
    body for a body that it can't parse.
    """

    def __init__(self, max_mb: int) -> None:
        # The rest of the body is not read, so the connection can't be used again.
        super().__init__(413, f"The request brings more than {max_mb} MB", {"Connection": "close"})


class BodyTooSlow(HTTPException):
    """A body of which nothing, or nearly nothing, arrives any more; see `BodyTooLarge`."""

    def __init__(self) -> None:
        super().__init__(408, "The request's body does not arrive", {"Connection": "close"})


class BodyLimit:
    """Stops to read a body that grows too large, or of which no more arrives.

    Args:
        app: The application behind it.
        max_mb: Returns the present limit of uploads in megabytes.
        patience_s: How long to wait for `BODY_PACE_BYTES`.
    """

    def __init__(self, app: ASGIApp, max_mb: Callable[[], int], patience_s: float = BODY_PATIENCE_S) -> None:
        self._app = app
        self._max_mb = max_mb
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; reading too large or slow a body raises, at once where its length says so."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        is_file = is_form or scope["path"] == UPLOAD_PATH
        max_mb = self._max_mb() if is_file else min(MAX_IN_MEMORY_MB, self._max_mb())
        length = headers.get("content-length", "")
        declared = int(length) if length.isdecimal() else 0
        received = 0
        paced = _paced(receive, self._patience_s)

        async def receive_bounded() -> Message:
            nonlocal received
            if declared > max_mb * MB:
                raise BodyTooLarge(max_mb)
            message = await paced()
            received += len(message.get("body", b""))
            if received > max_mb * MB:
                raise BodyTooLarge(max_mb)
            return message

        await self._app(scope, receive_bounded, send)


def _paced(receive: Receive, patience_s: float) -> Receive:
    """Return `receive` with a limit on how long it waits in all for the next `BODY_PACE_BYTES`."""
    left_s, pending, is_complete = patience_s, 0, False

    async def receive_in_time() -> Message:
        nonlocal left_s, pending, is_complete
        if is_complete:
            return await receive()  # of the client's leaving
        started = time.monotonic()
        try:
            message = await asyncio.wait_for(receive(), left_s)
        except TimeoutError:
            raise BodyTooSlow from None
        left_s -= time.monotonic() - started
        pending += len(message.get("body", b""))
        if pending >= BODY_PACE_BYTES:
            left_s, pending = patience_s, 0
        is_complete = not message.get("more_body", False)
        return message

    return receive_in_time


class StaleConnections:
    """Closes connections on which no request comes: opened and left, or broken off within the headers.

    uvicorn itself closes a connection only some time after a response. A connection is closed at the
    second call that finds it without a request since the first.

    Args:
        state: Of the server.
    """

    def __init__(self, state: "ServerState") -> None:
        self._state = state
        self._idle: dict[Any, Any] = {}

    async def close(self) -> None:
        """Close what was idle at the latest call and is still; to be called from time to time."""
        before, self._idle = self._idle, {}
        for connection in tuple(self._state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                continue
            if connection in before and before[connection] is cycle:
                connection.transport.close()
            else:
                self._idle[connection] = cycle


@contextmanager
def spool_under(folder: Path) -> Generator[None]:
    """Create this process's nameless temporary files, such as uploads that arrive, in a folder.

    The system's own temporary folder is often kept in memory. The kernel removes nameless files however the
    process ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    usual, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = usual
