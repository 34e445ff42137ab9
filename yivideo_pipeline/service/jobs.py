"""Sounds that come with a request: kept, decoded, and given to the model in a thread of their own."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

from fastapi import Request, UploadFile
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.protocol import Progress, Words, plain_options
from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.media_input import keep_pcm, keep_upload, open_sound
from yivideo_pipeline.service.streams import Emit, News, start_work
from yivideo_pipeline.settings.messages import explain
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.engine import ResidentEngine

Do = Callable[[ResidentEngine, Audio, Emit], BaseModel]


def choose_options(settings: Settings, **asked: Any) -> SpeechOptions:
    """Return the settings' options, but for what a request asks for; what is empty was not asked for.

    Raises:
        Refused: 422, they can't be.
    """
    given = {name: value for name, value in asked.items() if value}
    try:
        return SpeechOptions.model_validate({**plain_options(settings.speech).model_dump(), **given})
    except ValidationError as error:
        raise Refused(422, "invalid_request", "; ".join(explain(error, SpeechOptions))) from None


async def start_hearing(
    shared: ServiceState,
    request: Request,
    upload: UploadFile,
    options: SpeechOptions,
    do: Do,
    is_pcm: bool = False,
) -> News:
    """Take a place, keep what was uploaded, and begin to work on it.

    Args:
        shared: The service's state.
        request: What is asked.
        upload: A media file, or samples.
        options: Which model is wanted, and of several languages which one's sound.
        do: What is done with the sound.
        is_pcm: Whether the upload is raw 16 kHz mono 16-bit samples.

    Raises:
        Overloaded: there is no place.
        SoundTooLong: of samples; of a file the news say it.
    """
    settings = shared.settings
    with ExitStack() as stack:
        stack.enter_context(shared.admission.place())
        # Kept before the work begins: an upload is closed as soon as its request has ended.
        keeping: AbstractContextManager[Audio | Path]
        keeping = keep_pcm(upload.file, settings) if is_pcm else keep_upload(upload.file, settings)
        kept = await run_in_threadpool(lambda: stack.enter_context(keeping))
        place = stack.pop_all()

    def work(emit: Emit) -> BaseModel:
        if isinstance(kept, Audio):
            sound = nullcontext(kept)
        else:
            sound = open_sound(kept, 0.0, options.language, settings)
        with sound as audio, shared.models.lease(options) as engine:
            return do(engine, audio, emit)

    return start_work(work, place, f"POST {request.url.path}", asyncio.get_running_loop())


def transcribe(options: SpeechOptions, needs_times: bool) -> Do:
    """Return what recognizes a sound; words get their final times only where somebody wants to see them."""

    def do(engine: ResidentEngine, audio: Audio, emit: Emit) -> BaseModel:
        def tell(fraction: float) -> None:
            emit(Progress(fraction=fraction))

        said = engine.transcribe(audio, options, tell, lambda words: emit(Words(words=tuple(words))))
        return engine.align(audio, said, options, tell) if needs_times else said

    return do
