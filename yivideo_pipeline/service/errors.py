"""Errors as answers: a status, one line, what to do, and an id that stands in the log too."""

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

# PART service/outcome.py: What became of the request that is answered now, noted where it is known and read when it has ended.


@dataclass
class Outcome:
    """Length of its sound in seconds, and its error; None where there is none.

    `is_refused` says that the error is the client's, and told before the work: it says nothing of how work
    goes.
    """

    audio_s: float | None = None
    kind: str | None = None
    message: str | None = None
    hint: str | None = None
    is_refused: bool = False


_current: ContextVar[Outcome | None] = ContextVar("outcome", default=None)


def begin() -> Outcome:
    """Return the outcome that is filled in by whatever this task goes on to do, in copies of its context."""
    outcome = Outcome()
    _current.set(outcome)
    return outcome


def note_sound(seconds: float) -> None:
    """Note how long the request's sound is."""
    if outcome := _current.get():
        outcome.audio_s = seconds


def note_error(kind: str, message: str, hint: str, is_refused: bool = False) -> None:
    """Note what the request failed with; see `Outcome`."""
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
"""Status of each kind of error; all others are ours: 500."""

HTTP_KINDS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


SEE_DOCS = "The API is described at /docs"

_FOLDERS = re.compile(r"(?<![\w/:.])/(?:[^\s/'\"]+/)+")


class Problem(BaseModel):
    """Why a request was not answered; `id` stands in the service's log."""

    id: str
    kind: str
    message: str
    hint: str = ""
    retryable: bool = False


class ErrorAnswer(BaseModel):
    """The body of every answer that is an error."""

    error: Problem


ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer}
    for status in (400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503, 504, 507)
}
"""Answers that any route may give, for the API's description."""


class Refused(Exception):
    """A request that is answered by an error of its own: status, kind, one line and what to do."""

    def __init__(self, status: int, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.hint = status, kind, message, hint


def what_is_wrong(one: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, by an entry of pydantic's; of a folder no name, which may be ours."""
    is_folder = isinstance(one.get("ctx", {}).get("error"), NoModelFolder)
    return f"Value error, {NO_MODEL_FOLDER}" if is_folder else one["msg"]


def handle_errors(app: FastAPI) -> None:
    """Let the app answer every error in the one form."""
    for kind in (Refused, Overloaded, RequestValidationError, HTTPException, YivideoError, Exception):
        # YivideoError apart from Exception, whose handler answers but lets the error pass on to the server.
        app.add_exception_handler(kind, _answer)


def explain(error: BaseException, where: str) -> tuple[int, Problem, dict[str, str]]:
    """Turn what a request ended in into a status, an answer and its headers; the log has it by the same id.

    Args:
        error: A refusal of ours or of the framework, or what went wrong.
        where: What was asked, for the log.
    """
    number = secrets.token_hex(4)
    match error:
        case Refused():
            told = Problem(id=number, kind=error.kind, message=error.message, hint=error.hint)
            status, headers = error.status, {}
        case Overloaded():
            hint = f"Try again in {error.retry_after_s} s"
            told = Problem(
                id=number, kind="overloaded", message="All places are taken", hint=hint, retryable=True
            )
            status, headers = 429, {"Retry-After": str(error.retry_after_s)}
        case RequestValidationError():
            # The values themselves may be secrets: names and what is wrong with them are enough.
            lines = [
                f"{'.'.join(str(part) for part in one['loc'])}: {what_is_wrong(one)}"
                for one in error.errors()
            ]
            told = Problem(id=number, kind="invalid_request", message="; ".join(lines), hint=SEE_DOCS)
            status, headers = 422, {}
        case HTTPException():
            kind = HTTP_KINDS.get(error.status_code, "http")
            told = Problem(id=number, kind=kind, message=str(error.detail))
            status, headers = error.status_code, dict(error.headers or {})
        case _:
            return *problem_of(error, where), {}
    log.info("%s %s: %d %s", number, where, status, told.message)
    note_error(told.kind, told.message, told.hint, is_refused=True)
    return status, told, headers


def problem_of(error: BaseException, where: str) -> tuple[int, Problem]:
    """Turn what went wrong in the work into a status and an answer, and log it under the same id.

    What nobody foresaw is in the log alone: its words may name files or hosts of ours.
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
        told = Problem(id=number, kind="internal", message="Something went wrong here", hint=hint)
        note_error(told.kind, told.message, told.hint)
        return 500, told
    problem = Problem(
        id=number,
        kind=known.kind,
        message=_without_folders(known.message),
        hint=_without_folders(known.hint),
        retryable=known.retryable,
    )
    note_error(known.kind, known.message, known.hint, is_refused=isinstance(known, ConfigError))
    return status, problem


def _without_folders(text: str) -> str:
    """Leave of each path in a text its last part alone: where things lie here is nobody's business."""
    return _FOLDERS.sub("…/", text)


async def _answer(request: Request, error: Exception) -> Response:
    status, problem, headers = explain(error, f"{request.method} {request.url.path}")
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return _page(request, status, problem, headers)
    return JSONResponse(ErrorAnswer(error=problem).model_dump(), status, headers)


def _page(request: Request, status: int, problem: Problem, headers: Mapping[str, str]) -> Response:
    """Show somebody who looks by a browser what went wrong; scripts get JSON."""
    page = render(request, "error.html", "error", status=status, problem=problem)
    page.headers.update(headers)
    return page
