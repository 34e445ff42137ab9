"""Log in with the key, once a browser: what it carries from then on is not the key itself."""

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
from yivideo_pipeline.service.pages.words import FRAME, LOGIN, Texts, choose_language

FREE_TRIES = 5
LONGEST_WAIT_S = 300


class Patience:
    """Slows down guessing: after a few wrong keys each further one costs a wait, twice as long every time.

    All who guess share it: an address is soon changed, and there is one key.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrong = 0
        self._until = 0.0

    def left_s(self) -> float:
        """Return how long nobody's key is looked at."""
        return max(0.0, self._until - time.monotonic())

    def note(self, right: bool) -> None:
        """Note an attempt."""
        with self._lock:
            self._wrong = 0 if right else self._wrong + 1
            beyond = self._wrong - FREE_TRIES
            wait_s = min(LONGEST_WAIT_S, 2.0 ** min(beyond, 20)) if beyond >= 0 else 0.0
            self._until = time.monotonic() + wait_s


@asynccontextmanager
async def _be_patient(app: FastAPI) -> AsyncGenerator[None]:
    app.state.patience = Patience()
    yield


router = APIRouter(include_in_schema=False, lifespan=_be_patient)


@router.get("/login")
def show_login(request: Request, shared: Shared) -> Response:
    """Show the form; without a key there is nothing to log in to."""
    if shared.settings.service.api_key is None:
        return RedirectResponse("/", 303)
    return render(request, "login.html", "", LOGIN, problem="")


@router.post("/login")
def log_in(request: Request, shared: Shared, key: Annotated[str, Form(max_length=4096)] = "") -> Response:
    """Compare the key, and let the browser in or say why not."""
    wanted = shared.settings.service.api_key
    if wanted is None:
        raise Refused(404, "not_found", "There is no key, so nothing to log in to")
    t = Texts(choose_language(request), FRAME, LOGIN)
    patience: Patience = request.app.state.patience
    if left_s := patience.left_s():
        problem = t("too_often", seconds=int(left_s) + 1)
        return render(request, "login.html", "", LOGIN, status=429, problem=problem)
    secret = wanted.get_secret_value()
    right = hmac.compare_digest(key.strip().encode(), secret.encode())
    patience.note(right)
    if not right:
        return render(request, "login.html", "", LOGIN, status=401, problem=t("wrong_key"))
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        SESSION_COOKIE,
        session_of(secret),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/logout")
def log_out() -> Response:
    """Have the browser forget that it was let in."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return answer
