"""Runs over several videos, as a backfill launches them and as the daemon retries them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run
from dagster._core.execution.plan.objects import UserFailureData

from tests.defs.pipeline import SAMPLE, Pipeline
from yivideo_pipeline.stages import VIDEOS

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def add_videos(pipeline: Pipeline, *names: str, broken: Sequence[str] = ()) -> None:
    """Put videos into the inbox, no two of the same content, and register them in this order."""
    for name in names:
        if name in broken:
            (pipeline.inbox / name).write_text("this is no video")
        else:
            pipeline.add(name)
            make_unique(pipeline.inbox / name)
    pipeline.instance.add_dynamic_partitions(VIDEOS, list(names))


def make_unique(path: Path) -> None:
    """Add a box that every player skips, with the file's name in it."""
    name = path.name.encode()
    path.write_bytes(SAMPLE.read_bytes() + (8 + len(name)).to_bytes(4, "big") + b"free" + name)


def run_range(
    pipeline: Pipeline,
    first: str,
    last: str,
    stages: Sequence[str] = (),
    tags: dict[str, str] | None = None,
) -> dg.DagsterRun:
    """Run stages (all by default) of the videos from the first to the last; return the run as it ended."""
    job = pipeline.job
    if stages:
        job = job.get_subset(asset_selection={dg.AssetKey(stage) for stage in stages})
    span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    run = pipeline.instance.create_run_for_job(
        job_def=job,
        run_config=QUIET,
        tags={**span, **(tags or {})},
        asset_selection={dg.AssetKey(stage) for stage in stages} or None,
    )
    return _execute(pipeline, job, run)


def run_again(pipeline: Pipeline, parent: dg.DagsterRun, steps: Sequence[str] = ()) -> dg.DagsterRun:
    """Run it again as the daemon does after a worker's death, or the UI: these steps alone, or all."""
    job = pipeline.job
    root = parent.root_run_id or parent.run_id
    ids = {"dagster/parent_run_id": parent.run_id, "dagster/root_run_id": root}
    plan = create_execution_plan(job, QUIET, step_keys_to_execute=list(steps)) if steps else None
    run = pipeline.instance.create_run_for_job(
        job_def=job,
        execution_plan=plan,
        run_config=QUIET,
        tags={**pipeline.instance.get_run_by_id(parent.run_id).tags, **ids},
        root_run_id=root,
        parent_run_id=parent.run_id,
    )
    return _execute(pipeline, job, run)


def _execute(pipeline: Pipeline, job: dg.JobDefinition, run: dg.DagsterRun) -> dg.DagsterRun:
    execute_run(InMemoryJob(job), run, pipeline.instance)
    ended = pipeline.instance.get_run_by_id(run.run_id)
    assert ended is not None
    return ended


def made(pipeline: Pipeline, stage: str) -> list[str | None]:
    """Return the videos that a stage materialized, in the order in which it did."""
    records = pipeline.instance.fetch_materializations(dg.AssetKey(stage), limit=100, ascending=True).records
    return [record.partition_key for record in records]


def failure_of(pipeline: Pipeline, run: dg.DagsterRun) -> UserFailureData | None:
    """Return what the run's failed step says; None where none failed."""
    for entry in pipeline.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        return entry.dagster_event.step_failure_data.user_failure_data
    return None


def failed_rows(pipeline: Pipeline, run: dg.DagsterRun) -> list[dict[str, Any]]:
    """Return what the run's last stage lists of the videos that failed."""
    failure = failure_of(pipeline, run)
    assert failure is not None
    table = failure.metadata["failed"]
    assert isinstance(table, dg.TableMetadataValue)
    return [dict(record.data) for record in table.records]


def observed(pipeline: Pipeline, stage: str, key: str) -> dict[str, Any]:
    """Return what a stage last observed of a video, by name."""
    record = pipeline.instance.fetch_observations(
        dg.AssetRecordsFilter(dg.AssetKey(stage), asset_partitions=[key]), limit=1
    ).records[0]
    return {name: value.value for name, value in record.asset_observation.metadata.items()}
