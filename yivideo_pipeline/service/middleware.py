"""Who may ask: whoever has the key, or, without one, programs of this machine alone.

A web page that somebody has open in a browser can send requests to this machine too. So a request
must name a host that is ours, and one that changes something must not come from another site's page.
"""

import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.service.errors import ErrorAnswer, Refused, explain
from yivideo_pipeline.settings.service import LOOPBACK, ServiceSettings

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
