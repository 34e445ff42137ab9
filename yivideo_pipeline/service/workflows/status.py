"""The status of a workflow, from its runs taken together."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel

from yivideo_pipeline.ledger.workers import AtWork
from yivideo_pipeline.service.pages.translations import Said
from yivideo_pipeline.service.workflows.runs import RunStep, WorkflowRun, formats_of
from yivideo_pipeline.storage.artifacts import Storage

WILL_RETRY_TAG = "dagster/will_retry"
"""Dagster's tag of a failed run: whether the daemon retries it."""
_WILL_RETRY_WITHIN_S = 5
"""Dagster sets that tag after the failure; where it never retries, it sets none."""


class WorkflowState(StrEnum):
    """The state of a workflow as a whole."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the state stays unless a client requests a retry."""
        return self in (WorkflowState.SUCCEEDED, WorkflowState.FAILED, WorkflowState.CANCELLED)


_STATES = {
    "SUCCESS": WorkflowState.SUCCEEDED,
    "CANCELED": WorkflowState.CANCELLED,
    "CANCELING": WorkflowState.CANCELLING,
    "STARTING": WorkflowState.RUNNING,
    "STARTED": WorkflowState.RUNNING,
}
_STAGE_STATES = {"SUCCESS": "succeeded", "FAILURE": "failed", "SKIPPED": "skipped", "IN_PROGRESS": "running"}


class StageStatus(BaseModel):
    """The status of one stage: pending, running, succeeded, failed, skipped or interrupted.

    `progress` is how much of it is done, 0 to 1, as far as its worker has reported it.
    """

    name: str
    state: str
    progress: float = 0.0
    attempts: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: float | None = None


class WorkflowError(BaseModel):
    """Why a workflow failed: the stage, the kind of error, and what to do."""

    stage: str | None
    kind: str
    message: Said
    hint: Said


class WorkflowLinks(BaseModel):
    """Related addresses; all but Dagster's are paths of this service."""

    status: str
    subtitles: dict[str, str]
    dagster_run: str


class WorkflowSummary(BaseModel):
    """A workflow in a list; `attempts` counts its runs, `video` is the partition key."""

    workflow_id: str
    state: WorkflowState
    video: str
    attempts: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    seconds: float | None
    links: WorkflowLinks


class WorkflowStatus(WorkflowSummary):
    """The status of a workflow: `stage` is the present one, `progress` the share of all stages, 0 to 1."""

    stage: str | None
    progress: float
    stages: list[StageStatus]
    error: WorkflowError | None


def state_of(runs: Sequence[WorkflowRun]) -> WorkflowState:
    """Return the state of a workflow, by its runs, the latest last."""
    latest = runs[-1]
    if latest.status != "FAILURE":
        return _STATES.get(latest.status, WorkflowState.QUEUED)
    will_retry = latest.tags.get(WILL_RETRY_TAG)
    if will_retry is None and time.time() - (latest.ended_at or 0) < _WILL_RETRY_WITHIN_S:
        return WorkflowState.RUNNING
    return WorkflowState.RETRYING if will_retry == "true" else WorkflowState.FAILED


def summarize(runs: Sequence[WorkflowRun], dagster_url: str) -> WorkflowSummary:
    """Return the summary of a workflow for a list."""
    first, latest, state = runs[0], runs[-1], state_of(runs)
    started_at = next((run.started_at for run in runs if run.started_at), None)
    ended_at = latest.ended_at if state.is_final else None
    return WorkflowSummary(
        workflow_id=first.workflow_id,
        state=state,
        video=first.video,
        attempts=len(runs),
        created_at=datetime.fromtimestamp(first.created_at, UTC),
        started_at=_time(started_at),
        ended_at=_time(ended_at),
        seconds=_seconds(started_at, ended_at),
        links=links_of(first.workflow_id, (), latest.run_id, dagster_url),
    )


def describe(
    runs: Sequence[WorkflowRun], storage: Storage, dagster_url: str, at_work: AtWork | None = None
) -> WorkflowStatus:
    """Return the whole status of a workflow.

    Args:
        runs: Its runs, with details, the oldest first.
        storage: Where its subtitles are.
        dagster_url: Dagster's address, for links.
        at_work: What a worker does for its video now.
    """
    summary = summarize(runs, dagster_url)
    steps = _latest_steps(runs)
    own_work = at_work if at_work and at_work.run_id in {run.run_id for run in runs} else None
    stages = [
        _stage_status(name, steps.get(name), summary.state.is_final, own_work) for name in runs[0].stages
    ]
    summary.links = links_of(summary.workflow_id, formats_of(storage, runs), runs[-1].run_id, dagster_url)
    done = sum(stage.progress for stage in stages)
    failure = runs[-1].failure
    return WorkflowStatus(
        **summary.model_dump(),
        stage=_present_stage(stages, summary.state),
        progress=round(done / len(stages), 3) if stages else 0.0,
        stages=stages,
        error=WorkflowError(**vars(failure)) if failure else None,
    )


def links_of(workflow_id: str, formats: Iterable[str], run_id: str, dagster_url: str) -> WorkflowLinks:
    """Return the addresses that are related to a workflow."""
    return WorkflowLinks(
        status=f"/v1/workflows/status/{workflow_id}",
        subtitles={format: f"/v1/workflows/{workflow_id}/subtitles/{format}" for format in formats},
        dagster_run=f"{dagster_url}/runs/{run_id}",
    )


def _latest_steps(runs: Sequence[WorkflowRun]) -> dict[str, RunStep]:
    """Return each stage's last step; a retry has none for the stages that its parent finished."""
    return {step.stage: step for run in runs for step in run.steps}


def _stage_status(name: str, step: RunStep | None, is_over: bool, at_work: AtWork | None) -> StageStatus:
    if step is None or step.status is None:
        return StageStatus(name=name, state="pending")
    state = _STAGE_STATES[step.status]
    progress = 1.0 if state == "succeeded" else 0.0
    if state == "running" and at_work and at_work.stage == name:
        progress = at_work.fraction or 0.0
    return StageStatus(
        name=name,
        state="interrupted" if state == "running" and is_over else state,
        progress=round(progress, 3),
        attempts=step.attempts,
        started_at=_time(step.started_at),
        ended_at=_time(step.ended_at),
        seconds=_seconds(step.started_at, step.ended_at),
    )


def _present_stage(stages: Sequence[StageStatus], state: WorkflowState) -> str | None:
    """Return the stage that is running, or at which the workflow stopped."""
    if state in (WorkflowState.QUEUED, WorkflowState.SUCCEEDED):
        return None
    return next((stage.name for stage in stages if stage.state not in ("succeeded", "skipped")), None)


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _seconds(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(end - start, 3)
