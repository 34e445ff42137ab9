"""Errors as OpenAI's clients expect them, with the id by which our log has them."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from yivideo_pipeline.service.errors import Problem, Refused, explain

BAD_REQUEST = (415, 422)
"""Statuses of ours for which OpenAI has 400."""


class OpenAIProblem(BaseModel):
    """Why a request was not answered; `id` stands in the service's log."""

    message: str
    type: str
    param: str | None
    code: str | None
    id: str


class OpenAIErrorAnswer(BaseModel):
    """The body of every answer that is an error."""

    error: OpenAIProblem


OPENAI_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAIErrorAnswer} for status in (400, 404, 409, 413, 429, 499, 500, 503)
}


class WrongParameter(Refused):
    """A parameter that can't be; `param` is its name."""

    def __init__(self, status: int, kind: str, param: str, message: str, hint: str = "") -> None:
        super().__init__(status, kind, message, hint)
        self.param = param


class OpenAIRoute(APIRoute):
    """A route whose errors have OpenAI's shape."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:  # noqa: BLE001 - answered, and in the log
                status, problem, headers = explain(error, f"{request.method} {request.url.path}")
                shown = 400 if status in BAD_REQUEST else status
                body = OpenAIErrorAnswer(error=openai_problem(shown, problem, _param_of(error)))
                return JSONResponse(body.model_dump(), shown, headers)

        return answer


def openai_problem(status: int, problem: Problem, param: str | None = None) -> OpenAIProblem:
    """Say a problem in OpenAI's words."""
    if status == 429:
        kind = "rate_limit_error"
    else:
        kind = "server_error" if status >= 500 else "invalid_request_error"
    message = ". ".join(part.rstrip(".") for part in (problem.message, problem.hint) if part)
    return OpenAIProblem(message=message, type=kind, param=param, code=problem.kind, id=problem.id)


def _param_of(error: Exception) -> str | None:
    if isinstance(error, WrongParameter):
        return error.param
    if isinstance(error, RequestValidationError):
        return next((str(one["loc"][1]) for one in error.errors() if len(one["loc"]) > 1), None)
    return None
