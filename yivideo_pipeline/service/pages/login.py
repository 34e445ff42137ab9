"""Login with the API key, once per browser: its session cookie is not the key itself."""

import hmac
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, FastAPI, Form, Request
from fastapi.responses import RedirectResponse, Response

from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.middleware import SESSION_COOKIE, session_of
from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.service.pages.translations import Texts, choose_language

FREE_ATTEMPTS = 5
MAX_WAIT_S = 300


class LoginThrottle:
    """Slows down guessing: after a few wrong keys, each further one doubles the wait.

    All clients share one throttle: an attacker changes his address easily, and there is only one key.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrong = 0
        self._until = 0.0

    def remaining_s(self) -> float:
        """Return for how many seconds no key is checked."""
        return max(0.0, self._until - time.monotonic())

    def note_attempt(self, is_right: bool) -> None:
        """Count an attempt; a right key resets the throttle."""
        with self._lock:
            self._wrong = 0 if is_right else self._wrong + 1
            beyond = self._wrong - FREE_ATTEMPTS
            wait_s = min(MAX_WAIT_S, 2.0 ** min(beyond, 20)) if beyond >= 0 else 0.0
            self._until = time.monotonic() + wait_s


@asynccontextmanager
async def _with_throttle(app: FastAPI) -> AsyncGenerator[None]:
    app.state.login_throttle = LoginThrottle()
    yield


router = APIRouter(include_in_schema=False, lifespan=_with_throttle)


@router.get("/login")
def show_login(request: Request, shared: Shared) -> Response:
    """Show the form; where no key is set, there is nothing to log in to."""
    if shared.settings.service.api_key is None:
        return RedirectResponse("/", 303)
    return _form(request)


@router.post("/login")
def log_in(request: Request, shared: Shared, key: Annotated[str, Form(max_length=4096)] = "") -> Response:
    """Check the key, and start a session or say why not."""
    wanted = shared.settings.service.api_key
    if wanted is None:
        raise Refused(404, "not_found", "No API key is set, so there is no login")
    texts = Texts(choose_language(request), "login")
    throttle: LoginThrottle = request.app.state.login_throttle
    if remaining_s := throttle.remaining_s():
        return _form(request, 429, texts("too_often", seconds=int(remaining_s) + 1))
    secret = wanted.get_secret_value()
    is_right = hmac.compare_digest(key.strip().encode(), secret.encode())
    throttle.note_attempt(is_right)
    if not is_right:
        return _form(request, 401, texts("wrong_key"))
    response = RedirectResponse("/", 303)
    response.set_cookie(
        SESSION_COOKIE,
        session_of(secret),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
def log_out() -> Response:
    """End the browser's session."""
    response = RedirectResponse("/login", 303)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return response


def _form(request: Request, status: int = 200, problem: str = "") -> Response:
    return render(request, "login.html", "login", status=status, problem=problem)
