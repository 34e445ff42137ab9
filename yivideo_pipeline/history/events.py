"""Dagster's events and runs, turned into the ledger's samples."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import dagster as dg

from yivideo_pipeline.history.tags import BACKFILL_TAG, MODEL_TAG, PARTITION_TAG, TRIGGER_TAG
from yivideo_pipeline.ledger.samples import RunEntry, Sample

MEASURED = {field.name for field in fields(Sample)} - {
    "run_id", "stage", "key", "success", "at", "warnings", "kind", "message", "hint",
}  # fmt: skip
"""What a sample takes from the metadata of a materialization, under the same name."""


def sample_of(record: dg.EventLogRecord) -> Sample | None:
    """Return what a stage's materialization says; None where it is none of ours or of no video.

    Somebody may report a materialization by hand: it has no `wall_s`.
    """
    made = record.asset_materialization
    if made is None or made.partition is None or "wall_s" not in made.metadata:
        return None
    told = values_of(made.metadata)
    measured = {name: told.get(name) for name in MEASURED}
    if measured["duration_s"] is None and told.get("rtfx"):
        measured["duration_s"] = told["rtfx"] * told["wall_s"]  # the alignment does not name it
    warnings = "\n".join(told.get("warnings") or ()) or None
    stage = made.asset_key.to_user_string()
    return Sample(record.run_id, stage, made.partition, True, record.timestamp, **measured, warnings=warnings)


def failure_of(record: dg.EventLogRecord) -> Sample | None:
    """Return the failure of one video among others in a run, which an observation says; else None."""
    seen = record.event_log_entry.asset_observation
    if seen is None or seen.partition is None or "kind" not in seen.metadata:
        return None
    stage = seen.asset_key.to_user_string()
    return _failure(record.run_id, stage, seen.partition, record.timestamp, values_of(seen.metadata))


def failures_of(run: dg.DagsterRun, instance: dg.DagsterInstance) -> list[Sample]:
    """Return what failed in a failed run of one video: its steps; or the run, where no step says why.

    Runs of several videos tell of each by an observation, see `failure_of`.
    """
    key = run.tags.get(PARTITION_TAG)
    if key is None:
        return []
    failures = []
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        event = entry.get_dagster_event()
        data = event.step_failure_data
        told = values_of(data.user_failure_data.metadata) if data.user_failure_data else {}
        told.setdefault("message", data.error.message.strip() if data.error else "")
        failures.append(_failure(run.run_id, event.step_key or "", key, entry.timestamp, told))
    return failures


def lost_run(run: dg.DagsterRun, ended_at: float) -> Sample | None:
    """Return the failure of a run of one video that ended without a step having failed: its process died."""
    key = run.tags.get(PARTITION_TAG)
    told = {"kind": "worker", "message": "The run ended in the middle of its work", "attempts": 1}
    return None if key is None else _failure(run.run_id, "", key, ended_at, told)


def entry_of(record: dg.RunRecord) -> RunEntry:
    """Return what is kept of a run."""
    run = record.dagster_run
    return RunEntry(
        run_id=run.run_id,
        root_id=run.root_run_id or run.run_id,
        job=run.job_name,
        status=run.status.value,
        created_at=record.create_timestamp.timestamp(),
        started_at=record.start_time,
        ended_at=record.end_time,
        key=run.tags.get(PARTITION_TAG),
        trigger=run.tags.get(TRIGGER_TAG),
        model=run.tags.get(MODEL_TAG),
        backfill_id=run.tags.get(BACKFILL_TAG),
    )


def values_of(metadata: Mapping[str, dg.MetadataValue]) -> dict[str, Any]:
    """Return plain values by name; null is None."""
    return {name: value.value for name, value in metadata.items()}


def _failure(run_id: str, stage: str, key: str, at: float, told: Mapping[str, Any]) -> Sample:
    return Sample(
        run_id,
        stage,
        key,
        False,
        at,
        attempts=told.get("attempts"),
        kind=told.get("kind") or "unknown",
        message=told.get("message"),
        hint=told.get("hint"),
    )
