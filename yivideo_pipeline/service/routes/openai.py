"""OpenAI's speech API, for its clients: https://platform.openai.com/docs/api-reference/audio."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.remote.protocol import Words
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Problem, Refused, explain
from yivideo_pipeline.service.jobs import News, choose_options, start_hearing, transcribe
from yivideo_pipeline.service.responses import (
    SegmentAnswer,
    WordAnswer,
    language_name,
    segments_of,
    subtitles_of,
    text_of,
    word_of,
)
from yivideo_pipeline.settings.options import SpeechOptions, SubtitleFormat, Task
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.settings.whisper_models import MODELS
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.weights import weights_status

# PART service/openai_errors.py: Errors as OpenAI's clients expect them, with the id by which our log has them.

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


# PART service/openai_models.py: The models of the service by the names that clients of OpenAI's API give.

CONFIGURED = "whisper-1"
"""OpenAI's name for Whisper: here the model of the settings."""


class ModelAnswer(BaseModel):
    """A model that can be asked for; `created` is when the service began to offer it."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "yivideo"


class ModelList(BaseModel):
    """Every model that can be asked for, the loaded one first."""

    object: str = "list"
    data: list[ModelAnswer]


def choose_model(name: str, settings: Settings) -> str:
    """Return the model that a client names, as the settings would name it.

    Nothing is fetched for a request, and no folder can be named.

    Raises:
        WrongParameter: 404, its weights are not here.
    """
    configured = settings.speech.options.model_name
    if name in (CONFIGURED, shown_name(configured)):
        return configured
    if name in MODELS and _is_here(name, settings):
        return name
    raise WrongParameter(
        404,
        "model_not_found",
        "model",
        f"The model {name[:100]!r} is not here",
        f"GET /v1/models lists those that are; {CONFIGURED} is the configured one",
    )


def list_models(shared: ServiceState) -> ModelList:
    """List the models whose weights are here."""
    names = dict.fromkeys(_names(shared))
    return ModelList(data=[ModelAnswer(id=name, created=int(shared.started_at)) for name in names])


def shown_name(model: str) -> str:
    """Return what clients call a model: of a folder of ours its last part alone."""
    return Path(model).name if Path(model).is_absolute() else model


def _names(shared: ServiceState) -> Iterator[str]:
    settings = shared.settings
    if loaded := shared.models.manager.info():
        yield shown_name(loaded.model)
    if _is_here(settings.speech.options.model_name, settings):
        yield shown_name(settings.speech.options.model_name)
    yield from (name for name in MODELS if _is_here(name, settings))


def _is_here(name: str, settings: Settings) -> bool:
    return weights_status(name, settings.cache.model_dir, offline=True).state != "missing"


router = APIRouter(prefix="/v1", tags=["openai"], route_class=OpenAIRoute, responses=OPENAI_ERRORS)


class ResponseFormat(StrEnum):
    """What is answered."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"


Granularity = Literal["word", "segment"]


class SpeechForm(BaseModel):
    """What is asked of a sound."""

    file: UploadFile = Field(description="An audio or video file")
    model: str = Field(max_length=200, description="One of /v1/models, or whisper-1: the configured one")
    prompt: str | None = Field(None, description="Taken and left aside: each part is heard for itself")
    response_format: ResponseFormat = Field(ResponseFormat.JSON, description="What is answered")
    temperature: float = Field(
        0.0, ge=0, le=1, description="Taken and left aside: it rises where the model is unsure"
    )


class TranscriptionForm(SpeechForm):
    """What is asked of a sound in the language that is spoken."""

    language: str | None = Field(None, description="A code such as en; else that of the settings")
    timestamp_granularities: list[Granularity] = Field(
        [], alias="timestamp_granularities[]", description="What verbose_json tells; else segments"
    )
    stream: bool = Field(False, description="Whether the text is sent while it is heard")


class TextAnswer(BaseModel):
    """All that was said."""

    text: str


class VerboseAnswer(TextAnswer):
    """All that was said, and when."""

    task: str
    language: str
    duration: float
    segments: list[SegmentAnswer] | None = None
    words: list[WordAnswer] | None = None


class Delta(BaseModel):
    """The next words."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str


class Done(BaseModel):
    """The whole text, in which words may have been put between those that were sent."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str


MULTIPART = Form(media_type="multipart/form-data")
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": VerboseAnswer | TextAnswer,
        "content": {"text/plain": {"schema": {"type": "string"}}, "text/event-stream": {}},
    }
}


@router.post("/audio/transcriptions", response_class=JSONResponse, responses=ANSWERS)
async def create_transcription(
    form: Annotated[TranscriptionForm, MULTIPART], shared: Shared, request: Request
) -> Response:
    """Recognize what is said.

    A model other than the loaded one takes its place: requests in work end first, the next ones wait.
    """
    options = await _choose(shared, form, language=form.language)
    if form.stream:
        return await _stream(shared, request, form.file, options)
    said = await _hear(shared, request, form, options)
    granularities = form.timestamp_granularities or ["segment"]
    return await run_in_threadpool(_answer, said, options, form.response_format, shared, granularities)


@router.post("/audio/translations", response_class=JSONResponse, responses=ANSWERS)
async def create_translation(
    form: Annotated[SpeechForm, MULTIPART], shared: Shared, request: Request
) -> Response:
    """Recognize what is said, in English."""
    options = await _choose(shared, form, task=Task.TRANSLATE)
    said = await _hear(shared, request, form, options)
    return await run_in_threadpool(_answer, said, options, form.response_format, shared, ["segment"])


@router.get("/models")
def get_models(shared: Shared) -> ModelList:
    """List the models that can be asked for, the loaded one first."""
    return list_models(shared)


@router.get("/models/{name:path}")
def get_model(name: str, shared: Shared) -> ModelAnswer:
    """Tell whether a model can be asked for."""
    choose_model(name, shared.settings)
    return ModelAnswer(id=name, created=int(shared.started_at))


async def _choose(shared: ServiceState, form: SpeechForm, **asked: Any) -> SpeechOptions:
    # Whether weights are here is asked of the disk.
    model_name = await run_in_threadpool(choose_model, form.model, shared.settings)
    return choose_options(shared.settings, model_name=model_name, **asked)


async def _hear(
    shared: ServiceState, request: Request, form: SpeechForm, options: SpeechOptions
) -> Transcript:
    needs_times = form.response_format not in (ResponseFormat.JSON, ResponseFormat.TEXT)
    news = await start_hearing(shared, request, form.file, options, transcribe(options, needs_times))
    said = await news.result(request)
    assert isinstance(said, Transcript)
    return said


def _answer(
    said: Transcript,
    options: SpeechOptions,
    format: ResponseFormat,
    shared: ServiceState,
    granularities: list[Granularity],
) -> Response:
    """Write the answer; in a thread, since hours of words take a while."""
    match format:
        case ResponseFormat.JSON:
            return _json(TextAnswer(text=text_of(said)))
        case ResponseFormat.TEXT:
            return PlainTextResponse(f"{text_of(said)}\n")
        case ResponseFormat.SRT | ResponseFormat.VTT:
            return PlainTextResponse(
                subtitles_of(said, SubtitleFormat(format.value), shared.settings.subtitles)
            )
    return _json(
        VerboseAnswer(
            text=text_of(said),
            task=options.task.value,
            language=language_name(said.language),
            duration=said.duration_s,
            segments=segments_of(said) if "segment" in granularities else None,
            words=[word_of(word) for word in said.words] if "word" in granularities else None,
        )
    )


def _json(answer: BaseModel) -> JSONResponse:
    return JSONResponse(answer.model_dump(exclude_none=True))


async def _stream(
    shared: ServiceState, request: Request, file: UploadFile, options: SpeechOptions
) -> StreamingResponse:
    news = await start_hearing(shared, request, file, options, transcribe(options, needs_times=False))
    events = news.events()
    # What is wrong with the sound itself shows before the first news, and so has a status of its own.
    first = await anext(events)
    return StreamingResponse(_tell(news, first, events), media_type="text/event-stream")


async def _tell(news: News, first: BaseModel, events: AsyncGenerator[BaseModel]) -> AsyncGenerator[bytes]:
    """Send words as they are heard, and the text at the end, as server-sent events."""
    said_before = False
    async with aclosing(events):
        try:
            event: BaseModel | None = first
            while event is not None:
                if isinstance(event, Words):
                    text = "".join(word.text for word in event.words)
                    yield _data(Delta(delta=text if said_before else text.lstrip()))
                    said_before = True
                elif isinstance(event, Transcript):
                    yield _data(Done(text=text_of(event)))
                else:
                    yield b": waiting\n\n"
                event = await anext(events, None)
        except Exception as error:  # noqa: BLE001 - told, and in the log
            status, problem, _ = explain(error, news.where)
            yield _data(OpenAIErrorAnswer(error=openai_problem(status, problem)))


def _data(event: BaseModel) -> bytes:
    return f"data: {event.model_dump_json()}\n\n".encode()
