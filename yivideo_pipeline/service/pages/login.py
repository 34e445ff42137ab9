"""Login with the API key, once per browser: its session cookie is not the key itself."""

import hmac
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.middleware import SESSION_COOKIE, session_of
from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.service.pages.translations import Texts, choose_language

router = APIRouter(include_in_schema=False)


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
    secret = wanted.get_secret_value()
    if not hmac.compare_digest(key.strip().encode(), secret.encode()):
        wait_s = shared.wrong_keys.note_wrong_key(request.client.host) if request.client else 0
        if wait_s:
            return _form(request, 429, texts("too_often", seconds=wait_s))
        return _form(request, 401, texts("wrong_key"))
    response = RedirectResponse("/", 303)
    start_session(request, response, secret)
    return response


def start_session(request: Request, response: Response, key: str) -> None:
    """Let a browser in from now on, by a cookie of the answer."""
    response.set_cookie(
        SESSION_COOKIE,
        session_of(key),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


@router.post("/logout")
def log_out() -> Response:
    """End the browser's session."""
    response = RedirectResponse("/login", 303)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return response


def _form(request: Request, status: int = 200, problem: str = "") -> Response:
    return render(request, "login.html", "login", status=status, problem=problem)
