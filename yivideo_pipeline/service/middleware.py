"""Middleware around all routes: access control, a limit on bodies, and metering.

Access: without a key only programs on this machine may send requests. A web page that is open in a browser
here can send them too, so a request must name a host that is ours, and one that changes something must not
come from another site's page.
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
from yivideo_pipeline.service.errors import (
    ErrorResponse,
    Refused,
    RequestOutcome,
    describe_error,
    start_outcome,
)
from yivideo_pipeline.service.performance.monitor import PerformanceMonitor
from yivideo_pipeline.service.performance.operations import REQUESTS
from yivideo_pipeline.settings.sections import LOOPBACK, ServiceSettings

SESSION_COOKIE = "yivideo_session"
OPEN_PATHS = ("/health", "/login", "/static/")
"""Paths that need no key: they reveal nothing about videos, files or settings."""
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def require_safe(service: ServiceSettings, insecure: bool) -> None:
    """Refuse to serve other machines without a key.

    Raises:
        ConfigValidationError: Other machines can reach the host, and there is no key.
    """
    if not (service.is_local or service.api_key or insecure):
        raise ConfigValidationError(
            f"service.host {service.host} is open to other machines, and there is no service.api_key:"
            " set YIVIDEO_SERVICE__API_KEY, or listen on 127.0.0.1, or do without by --insecure"
        )


def session_of(key: str) -> str:
    """Return what the cookie of a logged-in browser holds in place of the key itself."""
    return hmac.new(key.encode(), b"yivideo session", hashlib.sha256).hexdigest()


class Access:
    """Lets a request through if it has the key, or, without a key, comes from this machine.

    Args:
        app: The application behind it.
        service: Key and host.
        insecure: Whether other machines may send requests without a key.
    """

    def __init__(self, app: ASGIApp, service: ServiceSettings, insecure: bool = False) -> None:
        self._app = app
        self._key = service.api_key.get_secret_value() if service.api_key else None
        # With a key, any host name may lead here; without one, a foreign name is a web page's trick.
        self._hosts = None if self._key or insecure else {*LOOPBACK, service.host}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it: 400 a foreign host, 403 a foreign page, 401 no key."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refuse(HTTPConnection(scope))
        await (refusal or self._app)(scope, receive, send)

    def _refuse(self, connection: HTTPConnection) -> Response | None:
        # The path comes from the scope: `connection.url` is put together with the Host header.
        headers, scope = connection.headers, connection.scope
        method = scope.get("method")  # a websocket has none, and may do anything
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._hosts is not None and _split(f"//{host}").hostname not in self._hosts:
            return _respond(scope, 400, "foreign_host", "The request names a host that is not this service's")
        if method not in SAFE_METHODS and origin and _split(origin).netloc != host:
            return _respond(scope, 403, "foreign_page", "Pages of other sites may not change anything here")
        if self._key is None or _is_open(scope["path"], OPEN_PATHS) or self._has_key(connection):
            return None
        if method == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        hint = "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
        return _respond(scope, 401, "no_key", "The key is missing or wrong", hint)

    def _has_key(self, connection: HTTPConnection) -> bool:
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
    except ValueError:  # brackets around something that is no address
        return urlsplit("")


def _respond(scope: Scope, status: int, kind: str, message: str, hint: str = "") -> Response:
    refused = Refused(status, kind, message, hint)
    _, problem, _ = describe_error(refused, f"{scope.get('method', scope['type'])} {scope['path']}")
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(ErrorResponse(error=problem).model_dump(), status, headers)


MB = 1024 * 1024
MAX_IN_MEMORY_MB = 16
"""Limit of bodies that are read into memory, as JSON is; enough for a day of transcript."""
UPLOAD_PATH = "/library/upload"
"""Here the body itself is the file, which is written while it arrives."""


class BodyTooLarge(HTTPException):
    """A body that is larger than the service accepts.

    It is one of Starlette's own errors, since FastAPI takes any other error that is raised while it reads a
    body for a body that it can't parse.
    """

    def __init__(self, max_mb: int) -> None:
        # The rest of the body is not read, so the connection can't be used again.
        super().__init__(413, f"The request brings more than {max_mb} MB", {"Connection": "close"})


class BodyLimit:
    """Stops to read a body that grows too large.

    Args:
        app: The application behind it.
        max_mb: Returns the present limit of uploads in megabytes.
    """

    def __init__(self, app: ASGIApp, max_mb: Callable[[], int]) -> None:
        self._app = app
        self._max_mb = max_mb

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; reading too large a body raises, at once where its length is declared."""
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

        async def receive_bounded() -> Message:
            nonlocal received
            if declared > max_mb * MB:
                raise BodyTooLarge(max_mb)
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_mb * MB:
                raise BodyTooLarge(max_mb)
            return message

        await self._app(scope, receive_bounded, send)


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


OTHER = "other"
"""The endpoint of requests without a route: clients invent their paths, so these are no labels."""
GONE = "gone"
"""In place of a status: the client did not wait for the end of the response."""


class Metering:
    """Counts every request, and records the recognitions among them in the history.

    Args:
        app: The application behind it.
        performance: Receives the counts and the samples.
    """

    def __init__(self, app: ASGIApp, performance: PerformanceMonitor) -> None:
        self._app = app
        self._performance = performance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it when its response has ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        outcome, started = start_outcome(), time.monotonic()
        status, is_complete = "500", False

        async def watch(message: Message) -> None:
            nonlocal status, is_complete
            if message["type"] == "http.response.start":
                status = str(message["status"])
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                is_complete = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            # An unforeseen error, which middleware further out answers.
            outcome.kind, status, is_complete = outcome.kind or "internal", "500", True
            raise
        finally:
            self._count(scope, outcome, status if is_complete else GONE, time.monotonic() - started)

    def _count(self, scope: Scope, outcome: RequestOutcome, status: str, wall_s: float) -> None:
        route = getattr(scope.get("route"), "path", OTHER)
        self._performance.counters.count_request(route, scope["method"], status, wall_s, outcome.kind)
        operation = REQUESTS.get(route)
        if operation and status != GONE and not outcome.is_refused:
            self._performance.record(operation, outcome, int(status) < 400, wall_s)
