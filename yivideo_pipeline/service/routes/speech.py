"""Speech for runs: `remote.engine.RemoteEngine` is its client."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, File, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.protocol import (
    AlignCall,
    DescribeCall,
    Description,
    Progress,
    Result,
    TranscribeCall,
    Words,
)
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import SEE_DOCS, Refused, what_is_wrong
from yivideo_pipeline.service.jobs import LINES, Emit, stream_events
from yivideo_pipeline.service.media_input import (
    keep_upload,
    open_sound,
    require_allowed_model,
    resolve_allowed,
)
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.batching import in_background
from yivideo_pipeline.speech.engine import SpeechEngine
from yivideo_pipeline.speech.types import Transcript

router = APIRouter(prefix="/v1/speech", tags=["speech"])

CallT = TypeVar("CallT", bound=TranscribeCall)
Bring = Callable[[TranscribeCall, ServiceState], AbstractContextManager[Audio]]
Do = Callable[[SpeechEngine, Audio, Emit], Transcript]
# A file, not a field: a form's fields may hold 1 MB, which the transcript of an hour is over.
Call = Annotated[UploadFile, File(description="The call as JSON, as the route without /upload takes it")]
Upload = Annotated[UploadFile, File(description="The sound")]


@router.post("/describe")
def describe(call: DescribeCall, shared: Shared) -> Description:
    """Tell what options come to here: warnings, the weights' revision, and what would time the words."""
    _require_model(call.options, shared, "body.options.model_name")
    local = shared.models.local
    return Description(
        warnings=local.check(call.options),
        revision=local.revision(call.options),
        aligner=local.aligner_of(call.options, call.language) if call.language else None,
    )


@router.post("/transcribe", response_class=StreamingResponse, responses=LINES)
def transcribe(call: TranscribeCall, shared: Shared, request: Request) -> StreamingResponse:
    """Recognize what is said in a file that the service can read; answers with lines of JSON."""
    return _stream(shared, call, _named, _transcribe(call), request)


@router.post("/transcribe/upload", response_class=StreamingResponse, responses=LINES)
def transcribe_upload(call: Call, sound: Upload, shared: Shared, request: Request) -> StreamingResponse:
    """Recognize what is said in the sound that is sent along."""
    asked = _parse(TranscribeCall, call)
    return _stream(shared, asked, partial(_brought, sound), _transcribe(asked), request)


@router.post("/align", response_class=StreamingResponse, responses=LINES)
def align(call: AlignCall, shared: Shared, request: Request) -> StreamingResponse:
    """Give the words of a transcript their final times; answers with lines of JSON."""
    return _stream(shared, call, _named, _align(call), request)


@router.post("/align/upload", response_class=StreamingResponse, responses=LINES)
def align_upload(call: Call, sound: Upload, shared: Shared, request: Request) -> StreamingResponse:
    """Give the words of a transcript their final times in the sound that is sent along."""
    asked = _parse(AlignCall, call)
    return _stream(shared, asked, partial(_brought, sound), _align(asked), request)


def _stream(
    shared: ServiceState, call: TranscribeCall, bring: Bring, do: Do, request: Request
) -> StreamingResponse:
    where = "call" if request.url.path.endswith("/upload") else "body"
    _require_model(call.options, shared, f"{where}.options.model_name")
    sound = bring(call, shared)

    def work(emit: Emit) -> Result:
        with (
            sound as audio,
            in_background() if call.background else nullcontext(),
            shared.models.lease(call.options) as engine,
        ):
            return Result(transcript=do(engine, audio, emit), engine=engine.describe())

    return stream_events(work, shared.admission.place(), f"POST {request.url.path}")


def _require_model(options: SpeechOptions, shared: ServiceState, where: str) -> None:
    """Refuse a model that can't be had, before the one that is loaded is given up for it."""
    require_allowed_model(options.model_name, shared.settings, where)
    status = shared.models.local.weights(options)
    if status.state == "missing":
        message = f"The service has no weights of the model {options.model_name}: {status.reason}"
        raise Refused(404, "model_load", message, "GET /v1/models lists those that it has")


def _transcribe(call: TranscribeCall) -> Do:
    def do(engine: SpeechEngine, audio: Audio, emit: Emit) -> Transcript:
        return engine.transcribe(
            audio,
            call.options,
            lambda fraction: emit(Progress(fraction=fraction)),
            lambda words: emit(Words(words=tuple(words))),
        )

    return do


def _align(call: AlignCall) -> Do:
    def do(engine: SpeechEngine, audio: Audio, emit: Emit) -> Transcript:
        return engine.align(
            audio, call.transcript, call.options, lambda fraction: emit(Progress(fraction=fraction))
        )

    return do


@contextmanager
def _brought(sound: UploadFile, call: TranscribeCall, shared: ServiceState) -> Generator[Audio]:
    with (
        keep_upload(sound.file, shared.settings) as path,
        open_sound(path, call.offset_s, call.options.language, shared.settings) as audio,
    ):
        yield audio


def _named(call: TranscribeCall, shared: ServiceState) -> AbstractContextManager[Audio]:
    if call.sound is None:
        raise Refused(422, "invalid_request", "sound is missing", "Name a file, or send it to …/upload")
    # Runs name what they have decoded: artifacts, and copies of them where the storage is elsewhere.
    own = [shared.settings.home / "tmp"]
    if shared.storage.files.folder:
        own.append(shared.storage.files.folder)
    path = resolve_allowed(call.sound.path, shared.settings, tuple(own))
    return open_sound(path, call.sound.offset_s, call.options.language, shared.settings)


def _parse(kind: type[CallT], call: UploadFile) -> CallT:
    try:
        return kind.model_validate_json(call.file.read())
    except ValidationError as error:
        lines = [f"call.{'.'.join(map(str, one['loc']))}: {what_is_wrong(one)}" for one in error.errors()]
        raise Refused(422, "invalid_request", "; ".join(lines), SEE_DOCS) from None
