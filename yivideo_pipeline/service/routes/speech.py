"""`/v1/speech`: the speech models for Dagster's runs, whose client is `remote.client`."""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, File, Request, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ValidationError

from yivideo_pipeline.errors.tree import ServiceUnreachable
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.protocol import (
    AlignCall,
    DescribeCall,
    KeptEvent,
    LanguageEvent,
    OptionsDescription,
    ProgressEvent,
    ResultEvent,
    ResumedEvent,
    TranscribeCall,
    WordsEvent,
)
from yivideo_pipeline.remote.replicas import ReplicaEngine
from yivideo_pipeline.service.allowed_paths import require_model_folder, resolve_file
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import SEE_DOCS, Refused, describe_invalid_values
from yivideo_pipeline.service.jobs import NDJSON_RESPONSE, Emit, SpeechWork, stream_job
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.batching import in_background
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.speech.types import Transcript

router = APIRouter(prefix="/v1/speech", tags=["speech"])

CallT = TypeVar("CallT", bound=TranscribeCall)
# A file, not a field: a form's fields may hold 1 MB, and the transcript of an hour is larger.
Call = Annotated[UploadFile, File(description="The call as JSON, as the route without /upload takes it")]
Upload = Annotated[UploadFile, File(description="The audio")]


@router.post("/describe", response_model_exclude_defaults=True)
def describe(call: DescribeCall, shared: Shared) -> OptionsDescription:
    """Return what options mean here: warnings, the weights' revision, the aligner, the model of `auto`."""
    _require_model(call.options, shared, "body.options.model_name")
    local = shared.models.local
    choice = local.choose(call.options)
    return OptionsDescription(
        warnings=local.check(choice.options),
        revision=local.revision(choice.options),
        aligner=local.aligner_of(choice.options, call.language) if call.language else None,
        model_name=choice.options.model_name if choice.reason else "",
        reason=choice.reason,
    )


@router.post("/transcribe", response_class=StreamingResponse, responses=NDJSON_RESPONSE)
def transcribe(call: TranscribeCall, shared: Shared, request: Request) -> StreamingResponse:
    """Transcribe a file that the service can read; responds with lines of JSON."""
    _require_model(call.options, shared, "body.options.model_name")
    return _stream(shared, call, _open_named(call, shared), _transcription(call), request)


@router.post("/transcribe/upload", response_class=StreamingResponse, responses=NDJSON_RESPONSE)
def transcribe_upload(call: Call, sound: Upload, shared: Shared, request: Request) -> StreamingResponse:
    """Transcribe uploaded audio; responds with lines of JSON."""
    parsed = _parse(TranscribeCall, call)
    _require_model(parsed.options, shared, "call.options.model_name")
    return _stream(shared, parsed, _open_upload(sound, parsed, shared), _transcription(parsed), request)


@router.post("/align", response_class=StreamingResponse, responses=NDJSON_RESPONSE)
def align(call: AlignCall, shared: Shared, request: Request) -> StreamingResponse:
    """Give the words of a transcript their final times; responds with lines of JSON."""
    _require_model(call.options, shared, "body.options.model_name")
    return _stream(shared, call, _open_named(call, shared), _alignment(call), request)


@router.post("/align/upload", response_class=StreamingResponse, responses=NDJSON_RESPONSE)
def align_upload(call: Call, sound: Upload, shared: Shared, request: Request) -> StreamingResponse:
    """Give the words of a transcript their final times in uploaded audio; responds with lines of JSON."""
    parsed = _parse(AlignCall, call)
    _require_model(parsed.options, shared, "call.options.model_name")
    return _stream(shared, parsed, _open_upload(sound, parsed, shared), _alignment(parsed), request)


@router.post("/language/upload", response_class=StreamingResponse, responses=NDJSON_RESPONSE)
def detect_language_upload(call: Call, sound: Upload, shared: Shared, request: Request) -> StreamingResponse:
    """Detect the language of uploaded audio; responds with lines of JSON."""
    parsed = _parse(TranscribeCall, call)
    _require_model(parsed.options, shared, "call.options.model_name")
    return _stream(shared, parsed, _open_upload(sound, parsed, shared), _detection, request)


def _stream(
    shared: ServiceState,
    call: TranscribeCall,
    audio: AbstractContextManager[Audio],
    work: SpeechWork,
    request: Request,
) -> StreamingResponse:
    def work_on_audio(emit: Emit) -> BaseModel:
        with (
            shared.measured() as cost,
            audio as opened,
            in_background() if call.background else nullcontext(),
            shared.models.manager.lease(call.options) as engine,
        ):
            found = work(engine, opened, emit)
            if not isinstance(found, Transcript):
                return found
            info, there = engine.describe(), engine.cost if isinstance(engine, ReplicaEngine) else None
        return ResultEvent(transcript=found, engine=info, cost=there or cost.summary())

    return stream_job(work_on_audio, shared.admission.slot(call.background), f"POST {request.url.path}")


def _require_model(options: SpeechOptions, shared: ServiceState, field: str) -> None:
    """Refuse a model that is unavailable, before the loaded one is unloaded for it."""
    settings = shared.settings
    require_model_folder(
        options.model_name,
        settings.speech.options.model_name,
        (settings.cache.model_dir, *shared.allowed_folders),
        field,
    )
    status = shared.models.local.weights(options)
    if status.state == "missing":
        name = shared.models.local.choose(options).options.model_name
        message = f"The service has no weights of the model {name}: {status.reason}"
        if status.may_pass:  # the run's own error for it, which is retried
            raise ServiceUnreachable(message, "Try again once the hub can be reached")
        raise Refused(404, "model_load", message, "GET /v1/models lists those that it has")


def _transcription(call: TranscribeCall) -> SpeechWork:
    def work(engine: ResidentEngine, audio: Audio, emit: Emit) -> Transcript:
        return engine.transcribe(
            audio,
            call.options,
            lambda fraction: emit(ProgressEvent(fraction=fraction)),
            lambda words: emit(WordsEvent(words=tuple(words))),
            None if call.finished is None else _RunsCheckpoint(call.finished, emit),
        )

    return work


@dataclass(frozen=True)
class _RunsCheckpoint:
    """The checkpoint of a run that asks: it has sent what is finished, and receives what gets finished."""

    finished: dict[str, Any]
    emit: Emit

    def load(self) -> dict[str, Any]:
        return self.finished

    def save(self, entries: Mapping[str, Any]) -> None:
        self.emit(KeptEvent(entries=dict(entries)))

    def note_resumed(self, sound_s: float) -> None:
        self.emit(ResumedEvent(sound_s=sound_s))


def _detection(engine: ResidentEngine, audio: Audio, emit: Emit) -> LanguageEvent:
    language, probability = engine.detect_language(
        audio, lambda fraction: emit(ProgressEvent(fraction=fraction))
    )
    return LanguageEvent(language=language, probability=probability)


def _alignment(call: AlignCall) -> SpeechWork:
    def work(engine: ResidentEngine, audio: Audio, emit: Emit) -> Transcript:
        return engine.align(
            audio, call.transcript, call.options, lambda fraction: emit(ProgressEvent(fraction=fraction))
        )

    return work


@contextmanager
def _open_upload(sound: UploadFile, call: TranscribeCall, shared: ServiceState) -> Generator[Audio]:
    with (
        shared.media.keep_file(sound.file) as path,
        shared.media.open_audio(path, call.offset_s, call.options) as audio,
    ):
        yield audio


def _open_named(call: TranscribeCall, shared: ServiceState) -> AbstractContextManager[Audio]:
    if call.sound is None:
        raise Refused(422, "invalid_request", "sound is missing", "Name a file, or send it to …/upload")
    # Runs name what they have decoded: artifacts, or copies of them where the storage is elsewhere.
    own = [shared.scratch]
    if shared.storage.files.folder:
        own.append(shared.storage.files.folder)
    path = resolve_file(call.sound.path, (*shared.allowed_folders, *own))
    return shared.media.open_audio(path, call.sound.offset_s, call.options)


def _parse(kind: type[CallT], call: UploadFile) -> CallT:
    try:
        return kind.model_validate_json(call.file.read())
    except ValidationError as error:
        message = describe_invalid_values(error.errors(), "call")
        raise Refused(422, "invalid_request", message, SEE_DOCS) from None
