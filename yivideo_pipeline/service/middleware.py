"""Middleware around all routes: access control, JSON sent as something else, and metering.

Access: without a key only programs on this machine may send requests. A web page that is open in a browser
here can send them too, so a request must name a host that is ours, and one that changes something must not
come from another site's page.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.service.admission import KeyThrottle
from yivideo_pipeline.service.errors import (
    Refused,
    RequestOutcome,
    describe_error,
    error_response,
    start_outcome,
)
from yivideo_pipeline.service.foreign_requests import find_foreign
from yivideo_pipeline.service.performance.monitor import PerformanceMonitor
from yivideo_pipeline.service.performance.operations import REQUESTS
from yivideo_pipeline.settings.sections import LOOPBACK, ServiceSettings

SESSION_COOKIE = "yivideo_session"
OPEN_PATHS = ("/health", "/login", "/static/")
"""Paths that need no key: they reveal nothing about videos, files or settings."""


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
        service: Returns the present key and host.
        insecure: Whether other machines may send requests without a key.
        throttle: Counts wrong keys.
    """

    def __init__(
        self, app: ASGIApp, service: Callable[[], ServiceSettings], insecure: bool, throttle: KeyThrottle
    ) -> None:
        self._app = app
        self._service = service
        self._insecure = insecure
        self._throttle = throttle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it.

        400: a foreign host; 403: a foreign page; 401: no key or a wrong one; 429: too many wrong ones.
        """
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refuse(HTTPConnection(scope))
        await (refusal or self._app)(scope, receive, send)

    def _refuse(self, connection: HTTPConnection) -> Response | None:
        # The path comes from the scope: `connection.url` is put together with the Host header.
        headers, scope, service = connection.headers, connection.scope, self._service()
        key = service.api_key.get_secret_value() if service.api_key else None
        # With a key, any host name may lead here; without one, a foreign name is a web page's trick.
        hosts = None if key or self._insecure else {*LOOPBACK, service.host}
        if foreign := find_foreign(connection, hosts):
            return _respond(scope, Refused(*foreign))
        if key is None or _is_open(scope["path"], OPEN_PATHS) or _has_key(connection, key):
            return None
        client = connection.client
        if client and _given_key(headers) and (wait_s := self._throttle.note_wrong_key(client.host)):
            hint = f"Correct the key; the right one is let in at once, a wrong one in {wait_s} s"
            refused = Refused(429, "wrong_keys", "Too many wrong keys", hint, retry_after_s=wait_s)
            return _respond(scope, refused)
        if scope.get("method") == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        hint = "Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
        return _respond(scope, Refused(401, "no_key", "The key is missing or wrong", hint))


def _has_key(connection: HTTPConnection, key: str) -> bool:
    given = _given_key(connection.headers)
    if given is not None:
        return hmac.compare_digest(given.encode("latin-1"), key.encode())
    session = connection.cookies.get(SESSION_COOKIE, "")
    return hmac.compare_digest(session.encode(), session_of(key).encode())


def _given_key(headers: Headers) -> str | None:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


def _is_open(path: str, open_paths: Iterable[str]) -> bool:
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in open_paths)


def _respond(scope: Scope, refused: Refused) -> Response:
    where = f"{scope.get('method', scope['type'])} {scope['path']}"
    status, problem, headers = describe_error(refused, where)
    if status == 401:
        headers = {**headers, "WWW-Authenticate": "Bearer"}
    return error_response(scope["path"], status, problem, headers)


NOT_SAID = ("", "application/x-www-form-urlencoded", "text/plain")
"""Content types of JSON whose sender has not said that it is JSON, as curl's `-d` or a browser's `fetch`."""
FORM_PATHS = ("/login",)


class JsonBodies:
    """Takes bodies for JSON where the client has not said what they are: all routes but the login want JSON.

    That makes no request possible for pages of other sites: `Access` refuses these by their origin.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with the content type that its body has."""
        if scope["type"] == "http" and scope["path"] not in FORM_PATHS:
            headers = MutableHeaders(scope=scope)
            if headers.get("content-type", "").partition(";")[0].strip().lower() in NOT_SAID:
                headers["content-type"] = "application/json"
        await self._app(scope, receive, send)


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
