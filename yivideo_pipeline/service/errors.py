"""Errors as HTTP responses: a status, one line, what to do, and an id that is in the log too.

The outcome of the request in progress is noted here too, for the metering to read.
"""

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.invalid_values import describe_invalid_value, leave_out_consequences
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
from yivideo_pipeline.service.pages.translations import Said
from yivideo_pipeline.settings.options import NO_MODEL_FOLDER, NoModelFolder
from yivideo_pipeline.telemetry.measure import StageMetrics


@dataclass
class RequestOutcome:
    """The duration of a request's audio in seconds, its cost, and its error; None where there is none.

    `is_refused` means that the client made the error and learned of it before the work began: such a request
    says nothing about performance.
    """

    audio_s: float | None = None
    cost: StageMetrics | None = None
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


def note_cost(cost: StageMetrics) -> None:
    """Note what the request has cost."""
    if outcome := _current.get():
        outcome.cost = cost


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

HTTP_KINDS = {404: "not_found", 405: "method_not_allowed", 408: "too_slow", 413: "too_large"}
SEE_DOCS = "The API is described at /docs"


class Problem(BaseModel):
    """Why a request failed; `id` is in the service's log too."""

    id: str
    kind: str
    message: Said
    hint: Said = ""
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
    """Refuses a request with a status, a kind, one line and a hint of its own.

    Args:
        status: HTTP status.
        kind: Kind of error, for programs.
        message: What is wrong, in one line.
        hint: What the client can do.
        param: Name of the parameter with a value that is not allowed.
        retry_after_s: When to try again; 0: not said.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        hint: str = "",
        *,
        param: str | None = None,
        retry_after_s: int = 0,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.hint = status, kind, message, hint
        self.param, self.retry_after_s = param, retry_after_s


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
            status = error.status
            headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
        case Overloaded():
            hint = f"Try again in {error.retry_after_s} s"
            problem = Problem(
                id=number, kind="overloaded", message="All slots are taken", hint=hint, retryable=True
            )
            status, headers = 429, {"Retry-After": str(error.retry_after_s)}
        case RequestValidationError():
            # The values themselves may be secrets: field names and what is wrong with them are enough.
            message = describe_invalid_values(error.errors())
            problem = Problem(id=number, kind="invalid_request", message=message, hint=SEE_DOCS)
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


def describe_invalid_values(errors: Sequence[Mapping[str, Any]], *above: str) -> str:
    """Return where a request's wrong values stand and what is wrong with each, without the values.

    Args:
        errors: Pydantic's errors.
        above: The place of what was validated.
    """
    lines = []
    for error in leave_out_consequences(errors):
        # JSON that can't be parsed has the character's number as its place.
        location = error["loc"][:1] if error["type"] == "json_invalid" else error["loc"]
        place = ".".join(map(str, (*above, *location)))
        is_folder = isinstance((error.get("ctx") or {}).get("error"), NoModelFolder)
        # A folder is not named, since it may be ours.
        lines.append(f"{place}: {NO_MODEL_FOLDER if is_folder else describe_invalid_value(error)}")
    return "; ".join(dict.fromkeys(lines))


_FOLDERS = re.compile(r"(?<![\w/:.])/(?:[^\s/'\"]+/)+")


def _without_folders(text: str) -> str:
    """Replace the folders of each path in a text: clients must not learn where our files are."""
    return _FOLDERS.sub("…/", text)


async def _respond(request: Request, error: Exception) -> Response:
    path = request.scope["path"]
    status, problem, headers = describe_error(error, f"{request.method} {path}")
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return _page(request, status, problem, headers)
    return error_response(path, status, problem, headers, _param_of(error))


def error_response(
    path: str, status: int, problem: Problem, headers: Mapping[str, str], param: str | None = None
) -> JSONResponse:
    """Return the JSON response to an error, in OpenAI's shape on the paths of its API.

    Args:
        path: The request's path.
        status: The HTTP status; of OpenAI's API those of `BAD_REQUEST` are 400.
        problem: What went wrong.
        headers: Of the response.
        param: Name of the parameter that is wrong, where one is.
    """
    if not path.startswith(OPENAI_PATHS):
        return JSONResponse(ErrorResponse(error=problem).model_dump(), status, dict(headers))
    shown = 400 if status in BAD_REQUEST else status
    return JSONResponse(openai_error(shown, problem, param).model_dump(), shown, dict(headers))


# Errors in the shape of OpenAI's API.

OPENAI_PATHS = ("/v1/audio/", "/v1/models")
BAD_REQUEST = (415, 422)
"""Statuses of ours that are 400 in OpenAI's API."""


class OpenAIProblem(BaseModel):
    """Why a request of OpenAI's API failed; `id` is in the service's log too."""

    message: str
    type: str
    param: str | None
    code: str | None
    id: str


class OpenAIErrorResponse(BaseModel):
    """The body of every response of OpenAI's API that reports an error."""

    error: OpenAIProblem


def openai_error(status: int, problem: Problem, param: str | None = None) -> OpenAIErrorResponse:
    """Return the body of a response that reports an error, in OpenAI's shape."""
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    message = ". ".join(part.rstrip(".") for part in (problem.message, problem.hint) if part)
    code = "invalid_api_key" if status == 401 else problem.kind
    return OpenAIErrorResponse(
        error=OpenAIProblem(message=message, type=kind, param=param, code=code, id=problem.id)
    )


def _param_of(error: Exception) -> str | None:
    if isinstance(error, RequestValidationError):
        return next((str(one["loc"][1]) for one in error.errors() if len(one["loc"]) > 1), None)
    return error.param if isinstance(error, Refused) else None


def _page(request: Request, status: int, problem: Problem, headers: Mapping[str, str]) -> Response:
    """Return the error as a page for a browser; scripts get JSON."""
    page = render(request, "error.html", "error", status=status, problem=problem)
    page.headers.update(headers)
    return page
