"""What the pipeline leaves in Dagster's event log, logged by hand: at times, and with numbers, of choice."""

from typing import Any
from uuid import uuid4

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData

STAGES = ("video", "audio", "transcript", "alignment", "subtitles")
JOB = "process_video"


def log_stage(instance: dg.DagsterInstance, run_id: str, stage: str, key: str, at: float, **metadata) -> None:
    """Log the materialization of one stage of one video, as it happened at a Unix time."""
    told = {"wall_s": 1.0, "cpu_s": 1.0, "attempts": 1, "reused": False, "rss_peak_mb": 500.0, **metadata}
    made = dg.AssetMaterialization(stage, partition=key, metadata=told)
    kind = DagsterEventType.ASSET_MATERIALIZATION.value
    event = DagsterEvent(kind, JOB, event_specific_data=StepMaterializationData(made))
    instance.report_dagster_event(event, run_id, timestamp=at)


def log_video(
    instance: dg.DagsterInstance, key: str, at: float, audio_s: float = 60.0, wall_s: float = 10.0, **metadata
) -> str:
    """Log a whole video in a run of its own; all but 4 s of work are the transcript's. Return the run."""
    run_id = str(uuid4())
    with_model = {"model": "base", "device": "cpu", "compute_type": "int8", "batch_size": 8, **metadata}
    for number, stage in enumerate(STAGES):
        told: dict[str, Any] = {"duration_s": audio_s, "wall_s": wall_s - 4 if stage == "transcript" else 1.0}
        if stage in ("transcript", "alignment"):
            told |= with_model
        if stage == "transcript":
            told |= {"words": 100, "low_confidence_words": 5, "language": "en"}
        if stage == "subtitles":
            told |= {"score": 90.0, "cues": 10, **metadata}
        log_stage(instance, run_id, stage, key, at - len(STAGES) + 1 + number, **told)
    return run_id
