"""Workflows page by page, the latest first."""

from pydantic import BaseModel

from yivideo_pipeline.service.dagster_client import Dagster
from yivideo_pipeline.service.workflows.runs import page_of_runs, runs_of
from yivideo_pipeline.service.workflows.status import WorkflowState, WorkflowSummary, state_of, summarize

_CHUNK = 100
_CHUNKS = 5
"""Runs that one request looks at, at most: few of a rare state may be among very many."""


class WorkflowPage(BaseModel):
    """Some workflows; there are more as long as there is a `next_cursor`, even where this page is empty."""

    workflows: list[WorkflowSummary]
    next_cursor: str | None


def list_workflows(
    dagster: Dagster, dagster_url: str, state: WorkflowState | None, video: str | None, after: str | None, limit: int
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
