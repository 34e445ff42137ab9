"""Errors as answers: a status, one line, what to do, and an id that stands in the log too."""

import logging
import secrets
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import (
    ConfigError,
    DiskError,
    MediaError,
    ModelBusy,
    ServiceUnreachable,
    TaskTimeout,
    YivideoError,
)
from yivideo_pipeline.service.admission import Overloaded

log = logging.getLogger(__name__)

STATUS: tuple[tuple[type[YivideoError], int], ...] = (
    (ModelBusy, 409),
    (ConfigError, 422),
    (MediaError, 415),
    (DiskError, 404),
    (ServiceUnreachable, 503),
    (TaskTimeout, 504),
)
"""Status of each kind of error; all others are ours: 500."""


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
    status: {"model": ErrorAnswer} for status in (400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503)
}
"""Answers that any route may give, for the API's description."""


class Refused(Exception):
    """A request that is answered by an error of its own: status, kind, one line and what to do."""

    def __init__(self, status: int, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.hint = status, kind, message, hint


def handle_errors(app: FastAPI) -> None:
    """Let the app answer every error in the one form."""
    app.add_exception_handler(Refused, _answer_refused)
    app.add_exception_handler(Overloaded, _answer_overloaded)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    # Apart from Exception, whose handler answers but lets the error pass on to the server.
    app.add_exception_handler(YivideoError, _answer_any)
    app.add_exception_handler(Exception, _answer_any)


def problem_of(error: BaseException, where: str) -> tuple[int, Problem]:
    """Turn an error into a status and an answer, and log it under the same id.

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
        told = Problem(id=number, kind="internal", message="Something went wrong here", hint=_in_log(number))
        return 500, told
    problem = Problem(
        id=number, kind=known.kind, message=known.message, hint=known.hint, retryable=known.retryable
    )
    return status, problem


def _in_log(number: str) -> str:
    return f"The service's log says more under {number}"


def _json(status: int, problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(ErrorAnswer(error=problem).model_dump(), status, headers)


def _where(request: Request) -> str:
    return f"{request.method} {request.url.path}"


async def _answer_refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    number = secrets.token_hex(4)
    log.info("%s %s: %d %s", number, _where(request), error.status, error.message)
    problem = Problem(id=number, kind=error.kind, message=error.message, hint=error.hint)
    return _json(error.status, problem)


async def _answer_overloaded(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Overloaded)
    number = secrets.token_hex(4)
    log.info("%s %s: all places are taken", number, _where(request))
    hint = f"Try again in {error.retry_after_s} s"
    problem = Problem(id=number, kind="overloaded", message="All places are taken", hint=hint, retryable=True)
    return _json(429, problem, {"Retry-After": str(error.retry_after_s)})


async def _answer_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    number = secrets.token_hex(4)
    # The values themselves may be secrets: names and what is wrong with them are enough.
    lines = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    log.info("%s %s: %s", number, _where(request), "; ".join(lines))
    problem = Problem(
        id=number, kind="invalid_request", message="; ".join(lines), hint="The API is described at /docs"
    )
    return _json(422, problem)


async def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    number = secrets.token_hex(4)
    kinds = {404: "not_found", 405: "method_not_allowed"}
    problem = Problem(id=number, kind=kinds.get(error.status_code, "http"), message=str(error.detail))
    return _json(error.status_code, problem, dict(error.headers or {}))


async def _answer_any(request: Request, error: Exception) -> JSONResponse:
    status, problem = problem_of(error, _where(request))
    return _json(status, problem)
