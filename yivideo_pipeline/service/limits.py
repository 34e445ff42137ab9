"""How much a request may bring, and where that is kept meanwhile: on disk, never whole in memory."""

import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MB = 1024 * 1024
MOST_IN_MEMORY_MB = 16
"""Bodies that are read whole, as JSON is: a day of transcript. Files come as multipart forms."""
UPLOAD_PATH = "/library/upload"
"""Here a file comes as the body itself, and is written as it comes."""


class BodyTooLarge(HTTPException):
    """A body that is larger than the service takes.

    An error of Starlette's own: FastAPI takes every other one, raised while it reads a body, for a body
    that it can't parse.
    """

    def __init__(self, most_mb: int) -> None:
        # What is left of the body is not read: the connection can't be used again.
        super().__init__(413, f"The request brings more than {most_mb} MB", {"Connection": "close"})


class BodyLimit:
    """Middleware that ends the reading of a body that grows too large.

    Args:
        app: What is behind it.
        most_mb: Says how many megabytes an upload may have, as the settings are now.
    """

    def __init__(self, app: ASGIApp, most_mb: Callable[[], int]) -> None:
        self._app = app
        self._most_mb = most_mb

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; reading too large a body raises, at once where its length is declared."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        is_file = is_form or scope["path"] == UPLOAD_PATH
        most_mb = self._most_mb() if is_file else min(MOST_IN_MEMORY_MB, self._most_mb())
        length = headers.get("content-length", "")
        declared = int(length) if length.isdecimal() else 0
        arrived = 0

        async def receive_bounded() -> Message:
            nonlocal arrived
            if declared > most_mb * MB:
                raise BodyTooLarge(most_mb)
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > most_mb * MB:
                raise BodyTooLarge(most_mb)
            return message

        await self._app(scope, receive_bounded, send)


@contextmanager
def spool_under(folder: Path) -> Generator[None]:
    """Have files of this process that need no name made in a folder: uploads, while they arrive.

    The system's own temporary folder is often kept in memory. The kernel removes such files, however the
    process ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    usual, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = usual
