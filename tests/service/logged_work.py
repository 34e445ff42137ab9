"""Work that is logged in a home's Dagster instance, as if it had been done there."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from tests.make_history import log_video
from yivideo_pipeline.defs.instance import open_instance

HINT = "Lower the batch"


def log_videos(home: Path, names: list[str], ago_s: float, walls: list[float], audio_s: float = 60.0) -> None:
    """Log videos that ended so long ago, one a second, each with so many seconds of work."""
    with open_instance(home) as instance:
        for number, (name, wall_s) in enumerate(zip(names, walls, strict=True)):
            log_video(instance, name, time.time() - ago_s + number, audio_s=audio_s, wall_s=wall_s)


def log_failures(home: Path, names: list[str], kind: str = "memory") -> None:
    """Log that the transcripts of videos failed just now, as a run over several videos does."""
    with open_instance(home) as instance:
        for name in names:
            told = {"kind": kind, "message": "Memory ran out", "hint": HINT, "attempts": 3}
            instance.report_runless_asset_event(
                dg.AssetObservation("transcript", partition=name, metadata=told)
            )


def wait_for(look: Callable[[], Any]) -> Any:
    """Look until there is something to see."""
    for _ in range(600):
        if found := look():
            return found
        threading.Event().wait(0.1)
    raise AssertionError("it did not come to be")
