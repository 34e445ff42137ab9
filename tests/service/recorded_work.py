"""Work that is recorded in a home, as if it had been done there."""

import time
from pathlib import Path
from uuid import uuid4

from tests.make_history import log_video, record_video
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.history.samples import failed_sample
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.samples import RunOrigin

HINT = "Lower the batch"


def record_videos(
    home: Path, names: list[str], ago_s: float, walls: list[float], audio_s: float = 60.0
) -> None:
    """Record videos that ended so long ago, one a second, each with so many seconds of work.

    As the pipeline does, in the ledger and in Dagster's event log.
    """
    ledger = open_ledger(home)
    with open_instance(home) as instance:
        for number, (name, wall_s) in enumerate(zip(names, walls, strict=True)):
            at = time.time() - ago_s + number
            record_video(ledger, name, at, audio_s=audio_s, wall_s=wall_s)
            log_video(instance, name, at, audio_s=audio_s, wall_s=wall_s)


def record_failures(home: Path, names: list[str], kind: str = "memory") -> None:
    """Record that the transcripts of videos failed just now, as a run over several videos does."""
    failure = {"kind": kind, "message": "Memory ran out", "hint": HINT, "attempts": 3}
    run = RunOrigin(str(uuid4()), str(uuid4()))
    open_ledger(home).samples.record(
        *(failed_sample(run, "transcript", name, time.time(), failure) for name in names)
    )
