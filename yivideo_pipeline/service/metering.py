"""Middleware that counts each request, and takes the recognitions among them into the history."""

import time
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yivideo_pipeline.service.outcome import Outcome, begin
from yivideo_pipeline.service.performance.operations import REQUESTS

if TYPE_CHECKING:
    from yivideo_pipeline.service.performance.monitor import Performance

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

    def __init__(self, app: ASGIApp, performance: "Performance") -> None:
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
