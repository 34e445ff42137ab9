"""The frame around all pages: their language and theme, and the headers that say what browsers may load."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi.templating import Jinja2Templates
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yivideo_pipeline.service.pages.translations import LANGUAGE_COOKIE, Texts, choose_language, spoken

_FOLDER = Path(__file__).resolve().parent.parent
_YEAR_S = 365 * 86_400
THEME_COOKIE = "yivideo_theme"
THEMES = ("light", "dark")

_WAVESURFER_STYLE = "sha256-2/AFTPuP4qEbSn4KmAzsJt3JK6WrqUViQjrdhLR/QMQ="
"""The style sheet that wavesurfer.js 8.0.1 adds to a waveform of the height that `waveform.js` asks for."""
_STYLES = f"style-src 'self' '{_WAVESURFER_STYLE}'"
OWN_ONLY = (
    f"default-src 'self'; {_STYLES}; img-src 'self' data:; media-src 'self'; object-src 'none';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SWAGGER = OWN_ONLY.replace(_STYLES, "style-src 'self' 'unsafe-inline'")
"""Swagger UI styles its elements in place."""

static_files = StaticFiles(directory=_FOLDER / "static")
"""To be mounted at /static."""
_templates = Jinja2Templates(directory=_FOLDER / "templates")


def render(
    request: Request, template: str, page: str, *, nav: str = "", status: int = 200, **values: Any
) -> Response:
    """Render a template that extends `frame.html`.

    The template gets `t` (the page's texts), `language`, `theme`, `nav`, `status`, and the values.

    Args:
        request: The request that is answered.
        template: The template's file name.
        page: The page's section of the translations.
        nav: The entry of the navigation that is active: `dashboard`, `library` or `docs`; empty for none.
        status: HTTP status of the response.
        values: What the template shows.
    """
    texts = Texts(choose_language(request), page)
    settings = request.app.state.shared.settings
    theme = request.cookies.get(THEME_COOKIE)
    others = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    shown = {
        "t": texts,
        "language": texts.language,
        "nav": nav,
        "status": status,
        "theme": theme if theme in THEMES else "",
        "switch_language": "?" + urlencode([*others, ("lang", "en" if texts.language == "zh" else "zh")]),
        "has_key": settings.service.api_key is not None,
    }
    response = _templates.TemplateResponse(request, template, {**shown, **values}, status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept-Language, Cookie"
    if request.query_params.get("lang") == texts.language:
        response.set_cookie(LANGUAGE_COOKIE, texts.language, _YEAR_S, samesite="strict")
    return response


class PageHeaders:
    """Middleware that tells browsers to load only this service's files, and to embed its pages nowhere.

    It also notes the language of the answer, for the sentences in it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        spoken.set(choose_language(HTTPConnection(scope)))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = SWAGGER if path.startswith("/docs") else OWN_ONLY
                headers["X-Content-Type-Options"] = "nosniff"
                # Not `no-referrer`: forms would be sent without their origin, and be refused as cross-site.
                headers["Referrer-Policy"] = "same-origin"
                if path.startswith("/static/"):
                    headers["Cache-Control"] = "no-cache"  # revalidated each time, and answered 304
            await send(message)

        await self._app(scope, receive, send_with_headers)
