"""Makes samples of what is reported of a stage at its end, by the names of Dagster's metadata."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg

from yivideo_pipeline.ledger.samples import RunOrigin, Sample
from yivideo_pipeline.stages import BACKFILL_TAG, MODEL_TAG, TRIGGER_TAG

MEASURED = (
    "wall_s", "cpu_s", "rtfx", "rss_peak_mb", "gpu_memory_peak_mb", "gpu_utilization_mean_pct", "duration_s",
    "confidence", "attempts", "batch_size", "words", "low_confidence_words", "cues", "reused", "model",
    "compute_type", "device", "language",
)  # fmt: skip
"""What a sample takes from the metadata of a materialization, under the same name."""


def read_origin(instance: dg.DagsterInstance, run_id: str) -> RunOrigin:
    """Return what the samples of a run keep of it."""
    record = instance.get_run_record_by_id(run_id)
    return origin_of(record) if record else RunOrigin(run_id, run_id)


def origin_of(record: dg.RunRecord) -> RunOrigin:
    """Return what the samples of a run keep of it."""
    run = record.dagster_run
    return RunOrigin(
        run_id=run.run_id,
        root_id=run.root_run_id or run.run_id,
        job=run.job_name,
        trigger=run.tags.get(TRIGGER_TAG),
        run_model=run.tags.get(MODEL_TAG),
        backfill_id=run.tags.get(BACKFILL_TAG),
        run_created_at=record.create_timestamp.timestamp(),
        run_started_at=record.start_time,
    )


def made_sample(run: RunOrigin, stage: str, key: str, at: float, metadata: Mapping[str, Any]) -> Sample:
    """Return the sample of a stage that was made, from its materialization's metadata."""
    values = _values(metadata)
    measured = {name: values.get(name) for name in MEASURED}
    measured["score"] = values.get("readability", values.get("score"))  # the name in older versions
    if measured["duration_s"] is None and values.get("rtfx"):
        measured["duration_s"] = values["rtfx"] * values["wall_s"]  # the alignment does not name it
    warnings = "\n".join(values.get("warnings") or ()) or None
    return Sample(**asdict(run), stage=stage, key=key, success=True, at=at, **measured, warnings=warnings)


def failed_sample(run: RunOrigin, stage: str, key: str, at: float, metadata: Mapping[str, Any]) -> Sample:
    """Return the sample of a stage that failed for good, from the metadata of the failure."""
    values = _values(metadata)
    return Sample(
        **asdict(run),
        stage=stage,
        key=key,
        success=False,
        at=at,
        attempts=values.get("attempts"),
        kind=values.get("kind") or "unknown",
        message=values.get("message"),
        hint=values.get("hint"),
    )


def _values(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values by name; Dagster's null is None."""
    return {name: one.value if isinstance(one, dg.MetadataValue) else one for name, one in metadata.items()}
