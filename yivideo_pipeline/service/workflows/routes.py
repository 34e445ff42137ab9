"""`/v1/workflows`: create, status, list, cancel, retry, and the subtitles of workflows."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import BaseModel

from yivideo_pipeline.service.allowed_paths import name_to_key
from yivideo_pipeline.service.dagster_client import DagsterClient
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.responses import SUBTITLE_MEDIA_TYPES, SUBTITLE_RESPONSE
from yivideo_pipeline.service.workflows.callbacks import run_callbacks
from yivideo_pipeline.service.workflows.lifecycle import WorkflowCreated, cancel, create, lock_of, retry
from yivideo_pipeline.service.workflows.requests import WorkflowRequest
from yivideo_pipeline.service.workflows.runs import WorkflowRun, page_of_runs, read_subtitles, runs_of
from yivideo_pipeline.service.workflows.status import (
    WorkflowState,
    WorkflowStatus,
    WorkflowSummary,
    describe,
    state_of,
    summarize,
)
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat

router = APIRouter(prefix="/v1/workflows", tags=["workflows"], lifespan=run_callbacks)

WorkflowId = Annotated[str, Path(max_length=64, description="The id that the creation returned")]

_CHUNK = 100
_MAX_CHUNKS = 5
"""A list reads at most so many chunks of runs: those of a rare state may be among very many."""


class WorkflowPage(BaseModel):
    """A page of workflows; as long as there is a `next_cursor` there are more, even if the page is empty."""

    workflows: list[WorkflowSummary]
    next_cursor: str | None


def get_runs(workflow_id: WorkflowId, shared: Shared) -> list[WorkflowRun]:
    """Return the runs of a workflow with their details, the oldest first.

    Raises:
        Refused: 404 where there is no such workflow.
    """
    runs = runs_of(shared.dagster, [workflow_id], details=True)[workflow_id]
    if not runs:
        raise Refused(404, "not_found", "There is no such workflow", "GET /v1/workflows lists all")
    return runs


Runs = Annotated[list[WorkflowRun], Depends(get_runs)]
"""Parameter of a route about one workflow."""


@router.post("", status_code=202)
def create_workflow(
    body: WorkflowRequest,
    shared: Shared,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=255, description="The same request under the same key launches once"),
    ] = None,
) -> WorkflowCreated:
    """Create a workflow: one run of Dagster makes the stages of the chain, and those before them."""
    return create(body, idempotency_key, shared)


@router.get("/status/{workflow_id}")
def workflow_status(runs: Runs, shared: Shared) -> WorkflowStatus:
    """Return the status of a workflow."""
    return _describe(runs, shared)


@router.get("")
def workflows(
    shared: Shared,
    state: WorkflowState | None = None,
    video: Annotated[str | None, Query(max_length=4096, description="Path or partition key")] = None,
    cursor: Annotated[
        str | None, Query(max_length=64, description="`next_cursor` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> WorkflowPage:
    """List workflows, the latest first."""
    settings = shared.settings
    key = None if video is None else name_to_key(video, settings.library.roots)
    return _list(shared.dagster, settings.service.dagster_url, state, key, cursor, limit)


@router.post("/{workflow_id}/cancel", status_code=202)
def cancel_workflow(runs: Runs, shared: Shared) -> WorkflowStatus:
    """Stop a workflow; one that is cancelled already stays cancelled."""
    cancel(shared.dagster, runs)
    return _describe(get_runs(runs[0].workflow_id, shared), shared)


@router.post("/{workflow_id}/retry", status_code=202)
def retry_workflow(workflow_id: WorkflowId, shared: Shared) -> WorkflowStatus:
    """Launch a failed or cancelled workflow again, without the stages that succeeded."""
    with lock_of(workflow_id):
        retry(shared.dagster, get_runs(workflow_id, shared))
        shared.ledger.callbacks.ask_again(workflow_id)
    return _describe(get_runs(workflow_id, shared), shared)


@router.get("/{workflow_id}/subtitles/{kind}", response_class=Response, responses=SUBTITLE_RESPONSE)
def workflow_subtitles(kind: SubtitleFormat, runs: Runs, shared: Shared) -> Response:
    """Return the subtitles of a workflow, in one of the formats in which it wrote them."""
    name, content = read_subtitles(shared.storage, runs, kind)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
    return Response(content, media_type=SUBTITLE_MEDIA_TYPES[kind], headers=headers)


def _describe(runs: list[WorkflowRun], shared: ServiceState) -> WorkflowStatus:
    at_work = shared.ledger.workers.at_work(runs[0].video)
    return describe(runs, shared.storage, shared.settings.service.dagster_url, at_work)


def _list(
    dagster: DagsterClient,
    dagster_url: str,
    state: WorkflowState | None,
    video: str | None,
    after: str | None,
    limit: int,
) -> WorkflowPage:
    """Return the workflows after a cursor, filtered by state and by the video's partition key."""
    found: list[WorkflowSummary] = []
    for _ in range(_MAX_CHUNKS):
        page = page_of_runs(dagster, video, after, _CHUNK)
        # A workflow is listed where its first run is; its retries are among later runs.
        firsts = [run for run in page if run.parent is None]
        runs = runs_of(dagster, [run.workflow_id for run in firsts], details=False)
        for first in firsts:
            after = first.run_id
            if state in (None, state_of(runs[first.workflow_id])):
                found.append(summarize(runs[first.workflow_id], dagster_url))
            if len(found) == limit:
                return WorkflowPage(workflows=found, next_cursor=after)
        if len(page) < _CHUNK:
            return WorkflowPage(workflows=found, next_cursor=None)
        after = page[-1].run_id
    return WorkflowPage(workflows=found, next_cursor=after)
