"""One side of a comparison: settings, and what they make of recordings in a process of their own.

The process loads its own model, whatever service there is: so its memory and its speed are those of the
settings alone. The sides work one after the other, as both would share the processor.
"""

import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import SystemFault, YivideoError
from yivideo_pipeline.machine.gpu import open_first_gpu
from yivideo_pipeline.media.decode import open_sound
from yivideo_pipeline.media.probe import probe
from yivideo_pipeline.media.shots import look_at_picture
from yivideo_pipeline.settings.load import apply_environment
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.engine import EngineInfo, SpeechEngine
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.style_report import StyleReport, report_style
from yivideo_pipeline.telemetry.measure import StageMetrics, measure

INTERVAL_S = 0.2


@dataclass(frozen=True)
class ClipResult:
    """What a side made of one recording; the time is that of decoding, recognizing and aligning it."""

    transcript: Transcript
    style: StyleReport
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class SideResult:
    """What a side made of all recordings.

    Attributes:
        engine: What ran, where.
        clips: What came of each recording, or why nothing did, in their order.
        cost: Of the whole process, the model's loading included.
        load_s: How long the model took to load.
    """

    engine: EngineInfo
    clips: tuple[ClipResult | YivideoError, ...]
    cost: StageMetrics
    load_s: float


OnProgress = Callable[[int, float], None]
"""Receives the number of a recording, counted from 0, and the done share of it, 0 to 1."""


def run_side(settings: Settings, paths: Sequence[Path], on_progress: OnProgress) -> SideResult:
    """Let settings make transcripts and cues of recordings, in a new process that ends with it.

    Raises:
        YivideoError: The model can't be loaded, or the process was killed.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(settings, paths, sender), daemon=True)
    process.start()
    sender.close()  # so that reading ends when the process does
    try:
        while True:
            match receiver.recv():
                case (int(number), float(share)):
                    on_progress(number, share)
                case YivideoError() as error:
                    raise error
                case SideResult() as result:
                    return result
    except EOFError:
        process.join()
        raise SystemFault(
            f"The process ended by itself (exit status {process.exitcode})",
            "If that is -9, the memory was used up: choose a smaller model",
        ) from None
    finally:
        process.terminate()
        process.join()


def _work(settings: Settings, paths: Sequence[Path], sender: Connection) -> None:
    """Work in the new process, and send what comes of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the parent ends this one
    logging.basicConfig(level=logging.ERROR)
    try:
        sender.send(_make(settings, paths, lambda number, share: sender.send((number, share))))
    except Exception as error:  # noqa: BLE001 - the parent raises it
        sender.send(classify(error))


def _make(settings: Settings, paths: Sequence[Path], on_progress: OnProgress) -> SideResult:
    apply_environment(settings)
    speech = LocalSpeech(settings)
    options = settings.speech.options
    begun = time.perf_counter()
    with measure(open_first_gpu(), INTERVAL_S) as measurement, speech.engine(options) as engine:
        load_s = time.perf_counter() - begun
        clips = tuple(_make_clip(engine, settings, path, on_progress, at) for at, path in enumerate(paths))
        described = engine.describe()
    return SideResult(described, clips, measurement.summary(), load_s)


def _make_clip(
    engine: SpeechEngine, settings: Settings, path: Path, on_progress: OnProgress, number: int
) -> ClipResult | YivideoError:
    options, subtitles = settings.speech.options, settings.subtitles
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    try:
        with open_sound(path, options.language, options.audio_track) as sound:
            transcript = engine.transcribe(
                sound.audio, options, lambda share: on_progress(number, float(share))
            )
            if transcript.words:
                transcript = engine.align(sound.audio, transcript, options)
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        end_s = max(filter(None, (probe(path).duration_s, transcript.end_s)), default=None)
        picture = look_at_picture(path) if subtitles.guide.timing.looks_at_picture else None
        cues = build_cues(transcript, subtitles, end_s, picture)
        style = report_style(cues, subtitles, transcript.language, end_s, picture)
    except YivideoError as error:
        return error
    return ClipResult(transcript, style, wall_s, cpu_s)
