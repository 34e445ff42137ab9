"""`/v1/workflows`: create, look, list, cancel, retry, fetch the subtitles."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import BaseModel

from yivideo_pipeline.service.dagster_client import Dagster
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.workflows.callbacks import run_messenger
from yivideo_pipeline.service.workflows.lifecycle import Created, cancel, create, retry, turn_of
from yivideo_pipeline.service.workflows.requests import WorkflowRequest, key_named
from yivideo_pipeline.service.workflows.runs import (
    MEDIA_TYPES,
    SUBTITLE_FILE,
    Run,
    page_of_runs,
    read_subtitles,
    runs_of,
)
from yivideo_pipeline.service.workflows.status import (
    WorkflowState,
    WorkflowStatus,
    WorkflowSummary,
    describe,
    state_of,
    summarize,
)
from yivideo_pipeline.settings.options import SubtitleFormat

# PART service/workflows/listing.py: Workflows page by page, the latest first.

_CHUNK = 100
_CHUNKS = 5
"""Runs that one request looks at, at most: few of a rare state may be among very many."""


class WorkflowPage(BaseModel):
    """Some workflows; there are more as long as there is a `next_cursor`, even where this page is empty."""

    workflows: list[WorkflowSummary]
    next_cursor: str | None


def list_workflows(
    dagster: Dagster,
    dagster_url: str,
    state: WorkflowState | None,
    video: str | None,
    after: str | None,
    limit: int,
) -> WorkflowPage:
    """Return the workflows that follow a cursor.

    Args:
        dagster: Knows them.
        dagster_url: For links.
        state: Only those that stand so.
        video: Only those of this partition key.
        after: The cursor of the page before.
        limit: So many at most.

    Raises:
        ServiceUnreachable: Dagster does not answer.
    """
    found: list[WorkflowSummary] = []
    for _ in range(_CHUNKS):
        page = page_of_runs(dagster, video, after, _CHUNK)
        # A workflow stands where its first run does; its retries are in between the others.
        firsts = [run for run in page if run.parent is None]
        runs = runs_of(dagster, [run.workflow for run in firsts], details=False)
        for first in firsts:
            after = first.run_id
            if state in (None, state_of(runs[first.workflow])):
                found.append(summarize(runs[first.workflow], dagster_url))
            if len(found) == limit:
                return WorkflowPage(workflows=found, next_cursor=after)
        if len(page) < _CHUNK:
            return WorkflowPage(workflows=found, next_cursor=None)
        after = page[-1].run_id
    return WorkflowPage(workflows=found, next_cursor=after)


router = APIRouter(prefix="/v1/workflows", tags=["workflows"], lifespan=run_messenger)

WorkflowId = Annotated[str, Path(max_length=64, description="As it was answered at the creation")]


@router.post("", status_code=202)
def create_workflow(
    body: WorkflowRequest,
    shared: Shared,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="Sent again, nothing is launched twice")
    ] = None,
) -> Created:
    """Take a video: one run of Dagster makes what the chain names, and what that stands on."""
    return create(body, idempotency_key, shared)


@router.get("/status/{workflow_id}")
def workflow_status(workflow_id: WorkflowId, shared: Shared) -> WorkflowStatus:
    """Tell how a workflow stands."""
    return _describe(_runs(workflow_id, shared), shared)


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
    url = shared.settings.service.dagster_url
    key = None if video is None else key_named(video, shared.settings)
    return list_workflows(Dagster(url), url, state, key, cursor, limit)


@router.post("/{workflow_id}/cancel", status_code=202)
def cancel_workflow(workflow_id: WorkflowId, shared: Shared) -> WorkflowStatus:
    """Stop a workflow; one that is cancelled already stays so."""
    cancel(_dagster(shared), _runs(workflow_id, shared))
    return _describe(_runs(workflow_id, shared), shared)


@router.post("/{workflow_id}/retry", status_code=202)
def retry_workflow(workflow_id: WorkflowId, shared: Shared) -> WorkflowStatus:
    """Launch a workflow again that failed or was cancelled, without the stages that it finished."""
    with turn_of(workflow_id):
        retry(_dagster(shared), _runs(workflow_id, shared))
        shared.ledger.callbacks.ask_again(workflow_id)
    return _describe(_runs(workflow_id, shared), shared)


@router.get("/{workflow_id}/subtitles/{kind}", response_class=Response, responses=SUBTITLE_FILE)
def workflow_subtitles(workflow_id: WorkflowId, kind: SubtitleFormat, shared: Shared) -> Response:
    """Fetch the subtitles that a workflow made, in one of the formats that it made."""
    name, content = read_subtitles(shared.storage, _runs(workflow_id, shared), kind)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
    return Response(content, media_type=MEDIA_TYPES[kind], headers=headers)


def _dagster(shared: ServiceState) -> Dagster:
    return Dagster(shared.settings.service.dagster_url)


def _runs(workflow: str, shared: ServiceState) -> list[Run]:
    runs = runs_of(_dagster(shared), [workflow], details=True)[workflow]
    if not runs:
        raise Refused(404, "not_found", "There is no such workflow", "GET /v1/workflows lists all")
    return runs


def _describe(runs: list[Run], shared: ServiceState) -> WorkflowStatus:
    at_work = shared.ledger.workers.at_work(runs[0].video)
    return describe(runs, shared.storage, shared.settings.service.dagster_url, at_work)
