"""Errors as HTTP responses: a status, one line, what to do, and an id that is in the log too.

The outcome of the request in progress is noted here too, for the metering to read.
"""

import logging
import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import (
    ConfigError,
    DiskError,
    DiskFull,
    MediaError,
    ModelBusy,
    ServiceUnreachable,
    TaskTimeout,
    YivideoError,
)
from yivideo_pipeline.service.admission import Overloaded
from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.settings.options import NO_MODEL_FOLDER, NoModelFolder


@dataclass
class RequestOutcome:
    """The duration of a request's audio in seconds, and its error; None where there is none.

    `is_refused` means that the client made the error and learned of it before the work began: such a request
    says nothing about performance.
    """

    audio_s: float | None = None
    kind: str | None = None
    message: str | None = None
    hint: str | None = None
    is_refused: bool = False


_current: ContextVar[RequestOutcome | None] = ContextVar("outcome", default=None)


def start_outcome() -> RequestOutcome:
    """Return the outcome that this task, and all that runs in copies of its context, will fill in."""
    outcome = RequestOutcome()
    _current.set(outcome)
    return outcome


def note_audio(duration_s: float) -> None:
    """Note how long the request's audio is."""
    if outcome := _current.get():
        outcome.audio_s = duration_s


def note_error(kind: str, message: str, hint: str, is_refused: bool = False) -> None:
    """Note the error that the request failed with; see `RequestOutcome`."""
    if outcome := _current.get():
        outcome.kind, outcome.message, outcome.hint = kind, message, hint
        outcome.is_refused = is_refused


log = logging.getLogger(__name__)

STATUS: tuple[tuple[type[YivideoError], int], ...] = (
    (ModelBusy, 409),
    (ConfigError, 422),
    (MediaError, 415),
    (DiskFull, 507),
    (DiskError, 404),
    (ServiceUnreachable, 503),
    (TaskTimeout, 504),
)
"""Status of each class of error; all others are ours: 500."""

HTTP_KINDS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
SEE_DOCS = "The API is described at /docs"


class Problem(BaseModel):
    """Why a request failed; `id` is in the service's log too."""

    id: str
    kind: str
    message: str
    hint: str = ""
    retryable: bool = False


class ErrorResponse(BaseModel):
    """The body of every response that reports an error."""

    error: Problem


ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse}
    for status in (400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503, 504, 507)
}
"""Error responses that any route may give, for the OpenAPI document."""


class Refused(Exception):
    """Refuses a request with a status, a kind, one line and a hint of its own."""

    def __init__(self, status: int, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.hint = status, kind, message, hint


def add_error_handlers(app: FastAPI) -> None:
    """Make the app answer every error with an `ErrorResponse`."""
    for kind in (Refused, Overloaded, RequestValidationError, HTTPException, YivideoError, Exception):
        # YivideoError apart from Exception, whose handler answers but lets the error pass on to the server.
        app.add_exception_handler(kind, _respond)


def describe_error(error: BaseException, where: str) -> tuple[int, Problem, dict[str, str]]:
    """Return the status, the problem and the headers of the response to an error, and log it by its id.

    Args:
        error: A refusal of ours or of the framework, or what went wrong in the work.
        where: The request, for the log.
    """
    number = secrets.token_hex(4)
    match error:
        case Refused():
            problem = Problem(id=number, kind=error.kind, message=error.message, hint=error.hint)
            status, headers = error.status, {}
        case Overloaded():
            hint = f"Try again in {error.retry_after_s} s"
            problem = Problem(
                id=number, kind="overloaded", message="All slots are taken", hint=hint, retryable=True
            )
            status, headers = 429, {"Retry-After": str(error.retry_after_s)}
        case RequestValidationError():
            # The values themselves may be secrets: field names and what is wrong with them are enough.
            lines = [
                f"{'.'.join(str(part) for part in one['loc'])}: {describe_invalid_value(one)}"
                for one in error.errors()
            ]
            problem = Problem(id=number, kind="invalid_request", message="; ".join(lines), hint=SEE_DOCS)
            status, headers = 422, {}
        case HTTPException():
            kind = HTTP_KINDS.get(error.status_code, "http")
            problem = Problem(id=number, kind=kind, message=str(error.detail))
            status, headers = error.status_code, dict(error.headers or {})
        case _:
            return *describe_failure(error, where), {}
    log.info("%s %s: %d %s", number, where, status, problem.message)
    note_error(problem.kind, problem.message, problem.hint, is_refused=True)
    return status, problem, headers


def describe_failure(error: BaseException, where: str) -> tuple[int, Problem]:
    """Return the status and the problem of an error in the work, and log it by its id.

    The message of an unforeseen error is in the log alone: it may name our files or hosts.
    """
    number = secrets.token_hex(4)
    known = classify(error)
    status = next((status for kind, status in STATUS if isinstance(known, kind)), 500)
    unforeseen = type(known).kind in ("unknown", "system")
    log.log(
        logging.ERROR if status == 500 else logging.INFO,
        "%s %s: %s", number, where, known, exc_info=error if unforeseen else None,
    )  # fmt: skip
    if unforeseen:
        hint = f"The service's log says more under {number}"
        problem = Problem(id=number, kind="internal", message="Something went wrong here", hint=hint)
        note_error(problem.kind, problem.message, problem.hint)
        return 500, problem
    problem = Problem(
        id=number,
        kind=known.kind,
        message=_without_folders(known.message),
        hint=_without_folders(known.hint),
        retryable=known.retryable,
    )
    note_error(known.kind, known.message, known.hint, is_refused=isinstance(known, ConfigError))
    return status, problem


def describe_invalid_value(error: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, by pydantic's error; a folder is not named, since it may be ours."""
    is_folder = isinstance(error.get("ctx", {}).get("error"), NoModelFolder)
    return f"Value error, {NO_MODEL_FOLDER}" if is_folder else error["msg"]


_FOLDERS = re.compile(r"(?<![\w/:.])/(?:[^\s/'\"]+/)+")


def _without_folders(text: str) -> str:
    """Replace the folders of each path in a text: clients must not learn where our files are."""
    return _FOLDERS.sub("…/", text)


async def _respond(request: Request, error: Exception) -> Response:
    status, problem, headers = describe_error(error, f"{request.method} {request.url.path}")
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return _page(request, status, problem, headers)
    return JSONResponse(ErrorResponse(error=problem).model_dump(), status, headers)


def _page(request: Request, status: int, problem: Problem, headers: Mapping[str, str]) -> Response:
    """Return the error as a page for a browser; scripts get JSON."""
    page = render(request, "error.html", "error", status=status, problem=problem)
    page.headers.update(headers)
    return page
