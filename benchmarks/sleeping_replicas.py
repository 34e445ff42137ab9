"""Replicas whose engine sleeps where a GPU would compute: `python -m benchmarks.sleeping_replicas`.

It is `yivideo` in all else. Tests use it too.

The device takes one batch at a time. A batch of up to `BATCH` windows of `WINDOW_S` seconds takes `BATCH_S`,
however full it is. Batches are formed by the real `speech.batching`.
"""

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve

from benchmarks.replicas import BATCH, BATCH_S, BUILDER, LOG, WINDOW_S
from yivideo_pipeline.cli.app import main
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote import ray_dashboard
from yivideo_pipeline.service import model_host, ray_replica
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.batching import Batcher
from yivideo_pipeline.speech.engine import Checkpoint, EngineInfo, OnWords, Progress
from yivideo_pipeline.speech.runtime import DeviceConfig, ModelRuntime, smaller_config
from yivideo_pipeline.speech.types import Segment, Span, Transcript, Word

REVISION = "sleeping-1"


@dataclass(frozen=True)
class Sleep:
    """Batch function: sleeps as long as a device would compute, one batch at a time."""

    def __call__(self, device: threading.Lock, windows: list[int]) -> list[int]:
        """Return the windows."""
        with device:
            time.sleep(BATCH_S)
        _note(f"batch {len(windows)}")
        return windows


class SleepingEngine:
    """An engine of one word a window, which keeps each finished window."""

    def __init__(self, options: SpeechOptions) -> None:
        self._options = options
        config = DeviceConfig("cuda", "float16", BATCH, 1)
        device = threading.Lock()
        runtime = ModelRuntime(config, lambda _config: device, smaller_config, lambda used: used)
        self._batcher = Batcher(runtime)

    def describe(self) -> EngineInfo:
        name = self._options.model_name
        return EngineInfo(name, REVISION, "cuda", "float16", BATCH, 1, f"sleeping in {os.getpid()}")

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        windows = range(max(1, round(audio.duration_s / WINDOW_S)))
        kept = checkpoint.load() if checkpoint else {}
        left = [window for window in windows if f"window-{window}" not in kept]
        if kept and checkpoint:
            checkpoint.note_resumed((len(windows) - len(left)) * WINDOW_S)
        done = len(windows) - len(left)

        def on_done(items: Any, _results: Any) -> None:
            nonlocal done
            done += len(items)
            if items and checkpoint:
                checkpoint.save({f"window-{window}": os.getpid() for window in items})
            if progress:
                progress(done / len(windows))

        self._batcher.map(left, Sleep(), on_done)
        words = tuple(_word(window) for window in windows)
        if on_words:
            on_words(words)
        segment = Segment(
            start_s=0.0,
            end_s=words[-1].end_s,
            text="".join(word.text for word in words),
            words=words,
            avg_logprob=-0.1,
            no_speech_prob=0.0,
        )
        return Transcript(
            language="en",
            language_probability=1.0,
            duration_s=audio.duration_s,
            segments=(segment,),
            speech_spans=(Span(start_s=0.0, end_s=words[-1].end_s),),
            model=options.model_name,
            revision=REVISION,
            aligner="attention",
        )

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        return transcript

    def detect_language(self, audio: Audio, progress: Progress | None = None) -> tuple[str, float]:
        return "en", 1.0


def load_sleeping(options: SpeechOptions, *_args: Any, **_more: Any) -> SleepingEngine:
    """Load as `speech.loading.load_engine` does, and note it."""
    _note(f"load {options.model_name}")
    return SleepingEngine(options)


def build_app() -> FastAPI:
    """Return a replica's application."""
    model_host.load_engine = load_sleeping  # ty: ignore[invalid-assignment]
    return ray_replica.build_app()


@serve.deployment(name="replicas")
@serve.ingress(build_app)
class SleepingReplica:
    """A replica with the sleeping engine."""


def build(_arguments: Mapping[str, Any]) -> serve.Application:
    """Return the application of `ray_replica` with the sleeping engine in place of the real one."""
    options = ray_replica.deployment_options(load_settings().cluster)
    return SleepingReplica.options(**options).bind()


def _note(line: str) -> None:
    if file := os.environ.get(LOG):
        with Path(file).open("a") as log:
            log.write(f"{os.getpid()} {line}\n")


def _word(window: int) -> Word:
    start_s = window * WINDOW_S
    return Word(text=f" w{window}", start_s=start_s, end_s=start_s + 1, confidence=0.9, source="attention")


if __name__ == "__main__":
    ray_dashboard.BUILDER = BUILDER
    main()
