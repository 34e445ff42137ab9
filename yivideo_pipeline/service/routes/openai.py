"""OpenAI's speech API, for its clients: https://platform.openai.com/docs/api-reference/audio."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.protocol import WordsEvent
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import OpenAIErrorResponse, Refused, describe_error, openai_error
from yivideo_pipeline.service.jobs import Emit, Job, override_options, start_speech_job, transcribe
from yivideo_pipeline.service.responses import (
    SegmentResponse,
    WordResponse,
    language_name,
    segments_of,
    subtitles_of,
    text_of,
    word_of,
)
from yivideo_pipeline.settings.options import SpeechOptions, Task
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.settings.whisper_models import MODELS
from yivideo_pipeline.speech.batching import one_by_one
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.weights import weights_status

ALIASES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
"""OpenAI's own models; here each means the model of the settings."""

OPENAI_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAIErrorResponse} for status in (400, 401, 404, 408, 409, 413, 429, 499, 500, 503)
}

router = APIRouter(prefix="/v1", tags=["openai"], responses=OPENAI_ERRORS)

# Models.


class OpenAIModel(BaseModel):
    """A model that requests may name; `created` is when the service started."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "yivideo"


class OpenAIModelList(BaseModel):
    """Every model that requests may name, the loaded one first, and OpenAI's names for the configured one."""

    object: str = "list"
    data: list[OpenAIModel]


@router.get("/models")
def get_models(shared: Shared) -> OpenAIModelList:
    """List the models that requests may name, the loaded one first."""
    names = dict.fromkeys(_available_models(shared))
    return OpenAIModelList(data=[OpenAIModel(id=name, created=int(shared.started_at)) for name in names])


@router.get("/models/{name:path}")
def get_model(name: str, shared: Shared) -> OpenAIModel:
    """Return a model if requests may name it."""
    _resolve_model(name, shared)
    return OpenAIModel(id=name, created=int(shared.started_at))


def _resolve_model(name: str, shared: ServiceState) -> str:
    """Return the model that a client names, by its name in the settings.

    No weights are downloaded for a request, and a request can't name a folder.

    Raises:
        Refused: 404, its weights are not here.
    """
    configured = shared.settings.speech.options.model_name
    if name in (*ALIASES, _shown_name(configured)):
        return configured  # `auto` stays: language and task of the request decide, too
    if name in MODELS and _is_here(name, shared):
        return name
    raise Refused(
        404,
        "model_not_found",
        f"The model {name[:100]!r} is not here",
        f"GET /v1/models lists those that are; {ALIASES[0]} is the configured one",
        param="model",
    )


def _available_models(shared: ServiceState) -> Iterator[str]:
    configured = shared.models.local.choose(shared.settings.speech.options).options.model_name
    if loaded := shared.models.manager.info():
        yield _shown_name(loaded.model)
    if _is_here(configured, shared):
        yield _shown_name(configured)
    yield from (name for name in MODELS if _is_here(name, shared))
    yield from ALIASES


def _shown_name(model: str) -> str:
    """Return what clients call a model: only the last part of a folder of ours."""
    return Path(model).name if Path(model).is_absolute() else model


def _is_here(name: str, shared: ServiceState) -> bool:
    return weights_status(name, shared.settings.cache.model_dir, offline=True).state != "missing"


# Transcriptions and translations.


class OpenAIFormat(StrEnum):
    """Format of the response."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"


Granularity = Literal["word", "segment"]
MAX_PROMPT = 4000
"""Characters of a prompt, as many as `initial_prompt` may have."""


class TranslationForm(BaseModel):
    """A request for the text of a file in English."""

    file: UploadFile = Field(description="An audio or video file")
    model: str = Field(max_length=200, description="One of /v1/models, or whisper-1: the configured one")
    prompt: str | None = Field(
        None,
        description="Names and words that are likely to be said, as they are spelled; the last ones count",
    )
    vocabulary: str | None = Field(
        None, max_length=100_000, description="Names and terms, with commas or line breaks between them"
    )
    response_format: OpenAIFormat = Field(OpenAIFormat.JSON, description="Format of the response")
    temperature: float | None = Field(
        None, ge=0, le=1, description="Words are sampled above 0; from 0 it rises where the model is unsure"
    )


class TranscriptionForm(TranslationForm):
    """A request for the text of a file in the spoken language."""

    language: str | None = Field(
        None, description="A code such as en, or several: zh,en; by default that of the settings"
    )
    timestamp_granularities: list[Granularity] = Field(
        [], alias="timestamp_granularities[]", description="What verbose_json has; by default segments"
    )
    granularities: list[Granularity] = Field(
        [], alias="timestamp_granularities", description="The same, for clients that leave out the brackets"
    )
    stream: bool = Field(False, description="Whether the text is sent while it is recognized")


class DurationUsage(BaseModel):
    """What OpenAI would bill: the seconds of the sound."""

    type: Literal["duration"] = "duration"
    seconds: float


class TextResponse(BaseModel):
    """The text; only transcriptions have a usage."""

    text: str
    usage: DurationUsage | None = None


class VerboseResponse(TextResponse):
    """The text with its times."""

    task: str
    language: str
    duration: float
    segments: list[SegmentResponse] | None = None
    words: list[WordResponse] | None = None


class TextDelta(BaseModel):
    """The next words of a stream."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str


class TextDone(BaseModel):
    """The whole text at a stream's end; it may have words between those that were sent before."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str


MULTIPART = Form(media_type="multipart/form-data")
TEXT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": VerboseResponse | TextResponse,
        "content": {"text/plain": {"schema": {"type": "string"}}, "text/event-stream": {}},
    }
}


@router.post("/audio/transcriptions", response_class=JSONResponse, responses=TEXT_RESPONSES)
async def create_transcription(
    form: Annotated[TranscriptionForm, MULTIPART], shared: Shared, request: Request
) -> Response:
    """Transcribe a file in the spoken language.

    A model other than the loaded one replaces it: requests in progress finish first, the next ones wait.
    """
    options = await _options_of(form, shared, language=form.language)
    if form.stream:
        return await _stream(shared, request, form.file, options)
    granularities = [*form.timestamp_granularities, *form.granularities] or ["segment"]
    return await _transcribe(shared, request, form, options, granularities)


@router.post("/audio/translations", response_class=JSONResponse, responses=TEXT_RESPONSES)
async def create_translation(
    form: Annotated[TranslationForm, MULTIPART], shared: Shared, request: Request
) -> Response:
    """Transcribe a file in English."""
    options = await _options_of(form, shared, task=Task.TRANSLATE)
    return await _transcribe(shared, request, form, options, ["segment"])


async def _options_of(form: TranslationForm, shared: ServiceState, **given: Any) -> SpeechOptions:
    # In a thread, since it looks for the weights on the disk.
    model_name = await run_in_threadpool(_resolve_model, form.model, shared)
    return override_options(
        shared.settings.speech.options,
        model_name=model_name,
        initial_prompt=(form.prompt or "")[-MAX_PROMPT:],
        vocabulary=form.vocabulary,
        temperature=form.temperature,
        **given,
    )


async def _transcribe(
    shared: ServiceState,
    request: Request,
    form: TranslationForm,
    options: SpeechOptions,
    granularities: list[Granularity],
) -> Response:
    format = form.response_format
    work = transcribe(shared, options, needs_times=format not in (OpenAIFormat.JSON, OpenAIFormat.TEXT))
    job = await start_speech_job(shared, request, form.file, options, work)
    transcript = await job.result(request)
    assert isinstance(transcript, Transcript)
    # In a thread, since hours of words take a while.
    return await run_in_threadpool(
        _respond, transcript, options.task, format, shared.settings.subtitles, granularities
    )


def _respond(
    transcript: Transcript,
    task: Task,
    format: OpenAIFormat,
    options: SubtitleOptions,
    granularities: list[Granularity],
) -> Response:
    usage = DurationUsage(seconds=transcript.duration_s) if task is Task.TRANSCRIBE else None
    match format:
        case OpenAIFormat.JSON:
            return _json(TextResponse(text=text_of(transcript), usage=usage))
        case OpenAIFormat.TEXT:
            return PlainTextResponse(f"{text_of(transcript)}\n")
        case OpenAIFormat.SRT | OpenAIFormat.VTT:
            return PlainTextResponse(subtitles_of(transcript, SubtitleFormat(format.value), options))
    return _json(
        VerboseResponse(
            text=text_of(transcript),
            usage=usage,
            task=task.value,
            language=language_name(transcript.language),
            duration=transcript.duration_s,
            segments=segments_of(transcript) if "segment" in granularities else None,
            words=[word_of(word) for word in transcript.words] if "word" in granularities else None,
        )
    )


def _json(body: BaseModel) -> JSONResponse:
    return JSONResponse(body.model_dump(exclude_none=True))


async def _stream(
    shared: ServiceState, request: Request, file: UploadFile, options: SpeechOptions
) -> StreamingResponse:
    work = transcribe(shared, options, needs_times=False)

    def work_one_by_one(engine: ResidentEngine, audio: Audio, emit: Emit) -> BaseModel:
        with one_by_one():
            return work(engine, audio, emit)

    job = await start_speech_job(shared, request, file, options, work_one_by_one)
    events = job.events()
    # Waiting for the first event lets an error of the media itself have a status of its own.
    first = await anext(events)
    return StreamingResponse(_server_sent_events(job, first, events), media_type="text/event-stream")


async def _server_sent_events(
    job: Job, first: BaseModel, events: AsyncGenerator[BaseModel]
) -> AsyncGenerator[bytes]:
    """Yield the words of each chunk when it is recognized, and the whole text at the end.

    These are server-sent events. OpenAI's end event has a usage in tokens, which are not counted here.
    """
    is_first_delta = True
    async with aclosing(events):
        try:
            event: BaseModel | None = first
            while event is not None:
                if isinstance(event, WordsEvent):
                    text = "".join(word.text for word in event.words)
                    yield _data(TextDelta(delta=text.lstrip() if is_first_delta else text))
                    is_first_delta = False
                elif isinstance(event, Transcript):
                    yield _data(TextDone(text=text_of(event)))
                else:
                    yield b": waiting\n\n"
                event = await anext(events, None)
        except Exception as error:  # noqa: BLE001 - sent to the client and logged
            status, problem, _ = describe_error(error, job.where)
            yield _data(openai_error(status, problem))


def _data(event: BaseModel) -> bytes:
    return f"data: {event.model_dump_json()}\n\n".encode()
