"""What the pipeline leaves behind of its work, made by hand: at times, and with numbers, of choice."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData

from yivideo_pipeline.history.samples import made_sample
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.samples import RunOrigin
from yivideo_pipeline.stages import JOB, STAGES

MEASURED = {"wall_s": 1.0, "cpu_s": 1.0, "attempts": 1, "reused": False, "rss_peak_mb": 500.0}


def record_stage(ledger: Ledger, run: RunOrigin | str, stage: str, key: str, at: float, **metadata) -> None:
    """Record the sample of one stage of one video, as if it had ended at a Unix time."""
    origin = run if isinstance(run, RunOrigin) else RunOrigin(run, run)
    ledger.samples.record(made_sample(origin, stage, key, at, MEASURED | metadata))


def record_video(
    ledger: Ledger, key: str, at: float, audio_s: float = 60.0, wall_s: float = 10.0, **metadata
) -> str:
    """Record a whole video in a run of its own; all but 4 s of work are the transcript's. Return the run."""
    run_id = str(uuid4())
    for stage, ended_at, values in _stages(at, audio_s, wall_s, metadata):
        record_stage(ledger, run_id, stage, key, ended_at, **values)
    return run_id


def log_stage(instance: dg.DagsterInstance, run_id: str, stage: str, key: str, at: float, **metadata) -> None:
    """Log the materialization of one stage of one video in Dagster, as it happened at a Unix time."""
    made = dg.AssetMaterialization(stage, partition=key, metadata=MEASURED | metadata)
    kind = DagsterEventType.ASSET_MATERIALIZATION.value
    event = DagsterEvent(kind, JOB, event_specific_data=StepMaterializationData(made))
    instance.report_dagster_event(event, run_id, timestamp=at)


def log_video(
    instance: dg.DagsterInstance, key: str, at: float, audio_s: float = 60.0, wall_s: float = 10.0, **metadata
) -> str:
    """Log the materializations of a whole video, as `record_video` records them. Return the run."""
    run_id = str(uuid4())
    for stage, ended_at, values in _stages(at, audio_s, wall_s, metadata):
        log_stage(instance, run_id, stage, key, ended_at, **values)
    return run_id


def _stages(
    at: float, audio_s: float, wall_s: float, metadata: dict[str, Any]
) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Yield each stage's name, end and metadata."""
    with_model = {"model": "base", "device": "cpu", "compute_type": "int8", "batch_size": 8, **metadata}
    for number, stage in enumerate(STAGES):
        values: dict[str, Any] = {
            "duration_s": audio_s,
            "wall_s": wall_s - 4 if stage == "transcript" else 1.0,
        }
        if stage in ("transcript", "alignment"):
            values |= with_model
        if stage == "transcript":
            values |= {"words": 100, "low_confidence_words": 5, "language": "en"}
        if stage == "subtitles":
            values |= {"score": 90.0, "cues": 10, **metadata}
        yield stage, at - len(STAGES) + 1 + number, values
