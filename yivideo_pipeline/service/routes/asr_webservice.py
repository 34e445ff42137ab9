"""The API of whisper-asr-webservice, as Bazarr's Whisper provider calls it."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.protocol import Progress
from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.jobs import Emit, choose_options, start_hearing, transcribe
from yivideo_pipeline.service.responses import (
    SegmentAnswer,
    WordAnswer,
    language_name,
    segment_of,
    subtitles_of,
    text_of,
    word_of,
)
from yivideo_pipeline.settings.options import SubtitleFormat, SubtitleOptions, Task
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.speech.types import Transcript

router = APIRouter(tags=["whisper-asr-webservice"])


class Output(StrEnum):
    """What is answered."""

    TXT = "txt"
    VTT = "vtt"
    SRT = "srt"
    TSV = "tsv"
    JSON = "json"


class AsrWord(WordAnswer):
    """A word, when it is said, and how sure the model is of it."""

    probability: float


class AsrSegment(SegmentAnswer):
    """A sentence or phrase; `words` where they were asked for."""

    words: list[AsrWord] | None = None


class AsrAnswer(BaseModel):
    """All that was said, and when."""

    text: str
    segments: list[AsrSegment]
    language: str


class LanguageAnswer(BaseModel):
    """The language that is spoken; `und` and `undetermined` where nobody speaks."""

    detected_language: str
    language_code: str
    confidence: float


Encode = Annotated[
    bool,
    Query(description="false: the sound is raw 16 kHz mono 16-bit samples; true: any audio or video file"),
]


@router.post(
    "/asr",
    response_class=JSONResponse,
    responses={200: {"model": AsrAnswer, "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def recognize(
    audio_file: UploadFile,
    shared: Shared,
    request: Request,
    encode: Encode = True,
    task: Task = Task.TRANSCRIBE,
    language: Annotated[str | None, Query(description="A code such as en; else the settings'")] = None,
    output: Output = Output.TXT,
    word_timestamps: Annotated[bool, Query(description="Whether json has words")] = False,
    initial_prompt: Annotated[str | None, Query(description="Taken and left aside")] = None,
    vad_filter: Annotated[bool, Query(description="Taken and left aside: silence is always cut out")] = False,
) -> Response:
    """Recognize what is said, by the configured model."""
    options = choose_options(shared.settings, task=task, language=language)
    needs_times = output is not Output.TXT
    do = transcribe(options, needs_times)
    news = await start_hearing(shared, request, audio_file, options, do, is_pcm=not encode)
    said = await news.result(request)
    assert isinstance(said, Transcript)
    # In a thread: hours of words take a while.
    return await run_in_threadpool(_answer, said, output, word_timestamps, shared.settings.subtitles)


@router.post("/detect-language")
async def detect_language(
    audio_file: UploadFile, shared: Shared, request: Request, encode: Encode = True
) -> LanguageAnswer:
    """Tell which language is spoken, by speech from all over the sound."""
    options = choose_options(shared.settings, language="auto")
    news = await start_hearing(shared, request, audio_file, options, _detect, is_pcm=not encode)
    found = await news.result(request)
    assert isinstance(found, LanguageAnswer)
    return found


def _detect(engine: ResidentEngine, audio: Audio, emit: Emit) -> LanguageAnswer:
    code, confidence = engine.detect_language(audio, lambda fraction: emit(Progress(fraction=fraction)))
    return LanguageAnswer(
        detected_language=language_name(code), language_code=code, confidence=round(confidence, 4)
    )


def _answer(said: Transcript, output: Output, with_words: bool, options: SubtitleOptions) -> Response:
    match output:
        case Output.JSON:
            answer = AsrAnswer(
                text=text_of(said), segments=_segments(said, with_words), language=said.language
            )
            return JSONResponse(answer.model_dump(exclude_none=True))
        case Output.TSV:
            return PlainTextResponse(_table(said))
    return PlainTextResponse(subtitles_of(said, SubtitleFormat(output.value), options))


def _segments(said: Transcript, with_words: bool) -> list[AsrSegment]:
    return [
        AsrSegment(
            **segment_of(number, segment).model_dump(),
            words=[
                AsrWord(**word_of(word).model_dump(), probability=word.confidence) for word in segment.words
            ]
            if with_words
            else None,
        )
        for number, segment in enumerate(said.segments)
    ]


def _table(said: Transcript) -> str:
    """Start, end (milliseconds) and text of each segment, with tabs between them."""
    rows = [
        f"{round(segment.start_s * 1000)}\t{round(segment.end_s * 1000)}\t{' '.join(segment.text.split())}\n"
        for segment in said.segments
    ]
    return "".join(["start\tend\ttext\n", *rows])
