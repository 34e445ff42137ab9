"""What all pages share: the frame around them, their language and look, and what browsers may load."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi.templating import Jinja2Templates
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yivideo_pipeline.service.pages.words import FRAME, LANGUAGE_COOKIE, Table, Texts, choose_language

_FOLDER = Path(__file__).resolve().parent.parent
_YEAR_S = 365 * 86_400
THEME_COOKIE = "yivideo_theme"
THEMES = ("light", "dark")

OWN_ONLY = (
    "default-src 'self'; img-src 'self' data:; media-src 'self'; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
SWAGGER = OWN_ONLY + "; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
"""The API's description is a page of FastAPI's, with a script in it."""

static_files = StaticFiles(directory=_FOLDER / "static")
"""To be mounted at /static."""
_templates = Jinja2Templates(directory=_FOLDER / "templates")


def render(
    request: Request,
    template: str,
    here: str = "",
    *tables: Table,
    status: int = 200,
    script: Iterable[str] = (),
    **values: Any,
) -> Response:
    """Make a page of a template that extends `frame.html`.

    The template gets `t` (texts by name), `script` (those for scripts), `language`, `here`, and the values.

    Args:
        request: What is answered.
        template: Its file name.
        here: The entry of the navigation that the page belongs to: `dashboard` or `library`.
        tables: The page's own texts.
        status: Of the answer.
        script: Names of the texts that the page's scripts need.
        values: What the template shows.
    """
    texts = Texts(choose_language(request), FRAME, *tables)
    settings = request.app.state.shared.settings
    theme = request.cookies.get(THEME_COOKIE)
    others = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    shown = {
        "t": texts,
        "script": {name: texts(name) for name in script},
        "language": texts.language,
        "here": here,
        "theme": theme if theme in THEMES else "",
        "switch_language": "?" + urlencode([*others, ("lang", "en" if texts.language == "zh" else "zh")]),
        "has_key": settings.service.api_key is not None,
    }
    answer = _templates.TemplateResponse(request, template, {**shown, **values}, status)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Vary"] = "Accept-Language, Cookie"
    if request.query_params.get("lang") == texts.language:
        answer.set_cookie(LANGUAGE_COOKIE, texts.language, _YEAR_S, samesite="strict")
    return answer


class PageHeaders:
    """Middleware that tells browsers what pages of ours may load, and who may show them: nobody else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = SWAGGER if path.startswith("/docs") else OWN_ONLY
                headers["X-Content-Type-Options"] = "nosniff"
                # Not `no-referrer`: forms would come without their origin, and count as another site's.
                headers["Referrer-Policy"] = "same-origin"
                if path.startswith("/static/"):
                    headers["Cache-Control"] = "no-cache"  # asked for again, and answered 304
            await send(message)

        await self._app(scope, receive, send_with_headers)
