"""The API of whisper-asr-webservice, as Bazarr's Whisper provider calls it."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.protocol import ProgressEvent
from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.jobs import Emit, override_options, start_speech_job, transcribe
from yivideo_pipeline.service.responses import (
    SegmentResponse,
    WordResponse,
    language_name,
    segment_of,
    subtitles_of,
    text_of,
    word_of,
)
from yivideo_pipeline.settings.options import Task
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.speech.types import Transcript

router = APIRouter(tags=["whisper-asr-webservice"])


class AsrOutput(StrEnum):
    """Format of the response."""

    TXT = "txt"
    VTT = "vtt"
    SRT = "srt"
    TSV = "tsv"
    JSON = "json"


class AsrWord(WordResponse):
    """A word, its times, and the model's confidence in it."""

    probability: float


class AsrSegment(SegmentResponse):
    """A sentence or phrase, with its words where the request asks for them."""

    words: list[AsrWord] | None = None


class AsrResponse(BaseModel):
    """The text with its times."""

    text: str
    segments: list[AsrSegment]
    language: str


class LanguageResponse(BaseModel):
    """The spoken language; `und` and `undetermined` where nobody speaks."""

    detected_language: str
    language_code: str
    confidence: float


Encode = Annotated[
    bool,
    Query(description="false: the file is raw 16 kHz mono 16-bit samples; true: any audio or video file"),
]


@router.post(
    "/asr",
    response_class=JSONResponse,
    responses={200: {"model": AsrResponse, "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def recognize(
    audio_file: UploadFile,
    shared: Shared,
    request: Request,
    encode: Encode = True,
    task: Task = Task.TRANSCRIBE,
    language: Annotated[
        str | None, Query(description="A code such as en, or several: zh,en; by default that of the settings")
    ] = None,
    output: AsrOutput = AsrOutput.TXT,
    word_timestamps: Annotated[bool, Query(description="Whether json has words")] = False,
    initial_prompt: Annotated[
        str | None, Query(description="Names and words that are likely to be said, as they are spelled")
    ] = None,
    vocabulary: Annotated[
        str | None, Query(description="Names and terms, with commas or line breaks between them")
    ] = None,
    vad_filter: Annotated[bool, Query(description="Accepted and ignored: silence is always cut out")] = False,
) -> Response:
    """Transcribe an upload with the configured model."""
    options = override_options(
        shared.settings.speech.options,
        task=task,
        language=language,
        initial_prompt=initial_prompt,
        vocabulary=vocabulary,
    )
    work = transcribe(shared, options, needs_times=output is not AsrOutput.TXT)
    job = await start_speech_job(shared, request, audio_file, options, work, is_pcm=not encode)
    transcript = await job.result(request)
    assert isinstance(transcript, Transcript)
    # In a thread, since hours of words take a while.
    return await run_in_threadpool(_respond, transcript, output, word_timestamps, shared.settings.subtitles)


@router.post("/detect-language")
async def detect_language(
    audio_file: UploadFile, shared: Shared, request: Request, encode: Encode = True
) -> LanguageResponse:
    """Detect the spoken language, by speech from all parts of the audio."""
    options = override_options(shared.settings.speech.options, language="auto")
    job = await start_speech_job(shared, request, audio_file, options, _detect, is_pcm=not encode)
    found = await job.result(request)
    assert isinstance(found, LanguageResponse)
    return found


def _detect(engine: ResidentEngine, audio: Audio, emit: Emit) -> LanguageResponse:
    code, confidence = engine.detect_language(audio, lambda fraction: emit(ProgressEvent(fraction=fraction)))
    return LanguageResponse(
        detected_language=language_name(code), language_code=code, confidence=round(confidence, 4)
    )


def _respond(
    transcript: Transcript, output: AsrOutput, with_words: bool, options: SubtitleOptions
) -> Response:
    match output:
        case AsrOutput.JSON:
            body = AsrResponse(
                text=text_of(transcript),
                segments=_segments(transcript, with_words),
                language=transcript.language,
            )
            return JSONResponse(body.model_dump(exclude_none=True))
        case AsrOutput.TSV:
            return PlainTextResponse(_table(transcript))
    return PlainTextResponse(subtitles_of(transcript, SubtitleFormat(output.value), options))


def _segments(transcript: Transcript, with_words: bool) -> list[AsrSegment]:
    return [
        AsrSegment(
            **segment_of(number, segment).model_dump(),
            words=[
                AsrWord(**word_of(word).model_dump(), probability=word.confidence) for word in segment.words
            ]
            if with_words
            else None,
        )
        for number, segment in enumerate(transcript.segments)
    ]


def _table(transcript: Transcript) -> str:
    """Return start, end (milliseconds) and text of each segment, separated by tabs."""
    rows = [
        f"{round(segment.start_s * 1000)}\t{round(segment.end_s * 1000)}\t{' '.join(segment.text.split())}\n"
        for segment in transcript.segments
    ]
    return "".join(["start\tend\ttext\n", *rows])
