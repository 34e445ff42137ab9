"""Who may ask: whoever has the key, or, without one, programs of this machine alone.

A web page that somebody has open in a browser can send requests to this machine too. So a request
must name a host that is ours, and one that changes something must not come from another site's page.
"""

import hashlib
import hmac
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.service.errors import ErrorAnswer, Outcome, Refused, begin, explain
from yivideo_pipeline.service.performance.monitor import Performance
from yivideo_pipeline.service.performance.operations import REQUESTS
from yivideo_pipeline.settings.sections import LOOPBACK, ServiceSettings

SESSION_COOKIE = "yivideo_session"
OPEN_PATHS = ("/health", "/login", "/static/")
"""What needs no key: it says nothing about videos, files or settings."""
READING = ("GET", "HEAD", "OPTIONS")


def require_safe(service: ServiceSettings, insecure: bool) -> None:
    """Refuse to answer other machines without a key.

    Raises:
        ConfigValidationError: the host is not this machine's own, and there is no key.
    """
    if not (service.is_local or service.api_key or insecure):
        raise ConfigValidationError(
            f"service.host {service.host} is open to other machines, and there is no service.api_key:"
            " set YIVIDEO_SERVICE__API_KEY, or listen on 127.0.0.1, or do without by --insecure"
        )


def session_of(key: str) -> str:
    """What a browser that logged in with the key carries in place of the key itself."""
    return hmac.new(key.encode(), b"yivideo session", hashlib.sha256).hexdigest()


class Access:
    """Middleware that lets through who may ask.

    Args:
        app: What is behind it.
        service: Key and host.
        insecure: Whether any machine may ask without a key.
    """

    def __init__(self, app: ASGIApp, service: ServiceSettings, insecure: bool = False) -> None:
        self._app = app
        self._key = service.api_key.get_secret_value() if service.api_key else None
        # Behind a key any name may lead here; without one a foreign name would be a page's trick.
        self._hosts = None if self._key or insecure else {*LOOPBACK, service.host}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400 to a foreign host, 403 to a foreign page, 401 without a key."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refuse(HTTPConnection(scope))
        await (refusal or self._app)(scope, receive, send)

    def _refuse(self, connection: HTTPConnection) -> Response | None:
        # The path is not taken of `connection.url`, which is put together with the Host header.
        headers, scope = connection.headers, connection.scope
        method = scope.get("method")  # a websocket has none, and may do anything
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._hosts is not None and _split(f"//{host}").hostname not in self._hosts:
            return _answer(scope, 400, "foreign_host", "The request names a host that is not this service's")
        if method not in READING and origin and _split(origin).netloc != host:
            return _answer(scope, 403, "foreign_page", "Pages of other sites may not change anything here")
        if self._key is None or _is_open(scope["path"], OPEN_PATHS) or self._knows_key(connection):
            return None
        if method == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        hint = "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
        return _answer(scope, 401, "no_key", "The key is missing or wrong", hint)

    def _knows_key(self, connection: HTTPConnection) -> bool:
        assert self._key is not None
        given = _given_key(connection.headers)
        if given is not None:
            return hmac.compare_digest(given.encode("latin-1"), self._key.encode())
        session = connection.cookies.get(SESSION_COOKIE, "")
        return hmac.compare_digest(session.encode(), session_of(self._key).encode())


def _given_key(headers: Headers) -> str | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _is_open(path: str, open_paths: Iterable[str]) -> bool:
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in open_paths)


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # brackets around what is no address
        return urlsplit("")


def _answer(scope: Scope, status: int, kind: str, message: str, hint: str = "") -> Response:
    refused = Refused(status, kind, message, hint)
    _, problem, _ = explain(refused, f"{scope.get('method', scope['type'])} {scope['path']}")
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(ErrorAnswer(error=problem).model_dump(), status, headers)


# PART service/limits.py: How much a request may bring, and where that is kept meanwhile: on disk, never whole in memory.

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


# PART service/metering.py: Middleware that counts each request, and takes the recognitions among them into the history.

OTHER = "other"
"""What no route answers: its path is anybody's invention, and no label."""
GONE = "gone"
"""In place of a status: the client did not wait for the end."""


class Metering:
    """Counts what passes.

    Args:
        app: What is behind it.
        performance: Takes the counts and the samples.
    """

    def __init__(self, app: ASGIApp, performance: Performance) -> None:
        self._app = app
        self._performance = performance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it when its answer has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        outcome, began = begin(), time.monotonic()
        status, is_whole = "500", False

        async def watch(message: Message) -> None:
            nonlocal status, is_whole
            if message["type"] == "http.response.start":
                status = str(message["status"])
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                is_whole = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            # What nobody foresaw is answered further out.
            outcome.kind, status, is_whole = outcome.kind or "internal", "500", True
            raise
        finally:
            self._count(scope, outcome, status if is_whole else GONE, time.monotonic() - began)

    def _count(self, scope: Scope, outcome: Outcome, status: str, wall_s: float) -> None:
        route = getattr(scope.get("route"), "path", OTHER)
        self._performance.counters.count_request(route, scope["method"], status, wall_s, outcome.kind)
        operation = REQUESTS.get(route)
        if operation and status != GONE and not outcome.is_refused:
            self._performance.record(operation, outcome, int(status) < 400, wall_s)
