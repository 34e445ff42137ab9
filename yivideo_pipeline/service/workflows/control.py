"""Stops workflows, and launches them again."""

import time
from collections.abc import Sequence

from yivideo_pipeline.service.dagster_client import Dagster
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.workflows.runs import Run, runs_of
from yivideo_pipeline.service.workflows.status import WorkflowState, state_of

PATIENCE_S = 45
"""Dagster stops a run that waits or works, not one whose process is just being started: some seconds."""
_LOOK_S = 0.5


def cancel(dagster: Dagster, runs: Sequence[Run]) -> None:
    """Stop a workflow; one that is cancelled already stays so.

    Raises:
        Refused: 409; it has ended, or can't be stopped now.
        ServiceUnreachable: Dagster does not answer.
    """
    deadline = time.monotonic() + PATIENCE_S
    while (state := state_of(runs)) not in (WorkflowState.CANCELLED, WorkflowState.CANCELLING):
        if state in (WorkflowState.SUCCEEDED, WorkflowState.FAILED):
            raise Refused(409, "conflict", f"The workflow has {state} already", "There is nothing to cancel")
        if state is not WorkflowState.RETRYING and dagster.cancel(runs[-1].run_id):
            return
        if time.monotonic() > deadline:
            hint = "Try again in some seconds"
            raise Refused(409, "conflict", "Dagster is just starting the workflow's run", hint)
        time.sleep(_LOOK_S)
        workflow = runs[-1].workflow
        runs = runs_of(dagster, [workflow], details=False)[workflow]


def retry(dagster: Dagster, runs: Sequence[Run]) -> None:
    """Launch a workflow again that failed or was cancelled; `runs` are with their details.

    Raises:
        Refused: 409; it goes on, or went well.
        ServiceUnreachable: Dagster does not answer.
    """
    state = state_of(runs)
    if state not in (WorkflowState.FAILED, WorkflowState.CANCELLED):
        hint = "Only what failed or was cancelled can be tried again"
        raise Refused(409, "conflict", f"The workflow is {state}", hint)
    latest = runs[-1]
    # One that was cancelled, or died before its first stage, has no failed stage to begin with.
    failed = any(step.status == "FAILURE" for step in latest.steps)
    dagster.launch_again(latest.run_id, from_failure=failed)
