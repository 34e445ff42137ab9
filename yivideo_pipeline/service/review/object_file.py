"""An object of object storage as a response, whole or a part of it, as a browser's player asks for it."""

import re
from collections.abc import Generator
from typing import TYPE_CHECKING, BinaryIO

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from yivideo_pipeline.storage.remote_paths import open_bytes, version_of

if TYPE_CHECKING:
    from upath import UPath

PIECE_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
"""One range, the only kind that players ask for; others are ignored, as RFC 9110 (14.2) allows."""


def object_response(path: "UPath", request: Request, media_type: str, headers: dict[str, str]) -> Response:
    """Return an object, or the range of it that the request names; it is read while it is sent.

    A client that has seen another version of the object (`If-Range`) gets the whole of this one.

    Args:
        path: The object.
        request: The request, GET or HEAD.
        media_type: What the object is.
        headers: Further headers.

    Raises:
        OSError: There is no such object, or it can't be read.
    """
    size, _, tag = version_of(path)
    size = int(size)
    headers = {**headers, "Accept-Ranges": "bytes", "ETag": f'"{str(tag).strip(chr(34))}"'}
    status, start, end = 200, 0, size
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked and any(asked.groups()) and request.headers.get("if-range", headers["ETag"]) == headers["ETag"]:
        first, last = asked.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start >= end:
            return PlainTextResponse("", 416, {**headers, "Content-Range": f"bytes */{size}"})
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(None, status, headers, media_type)
    return StreamingResponse(_pieces(open_bytes(path), start, end), status, headers, media_type)


def _pieces(file: BinaryIO, start: int, end: int) -> Generator[bytes]:
    """Read a file from one place to another; what was replaced meanwhile is an error, not a mixture."""
    with file:
        file.seek(start)
        while start < end:
            piece = file.read(min(PIECE_BYTES, end - start))
            start += len(piece)
            yield piece
