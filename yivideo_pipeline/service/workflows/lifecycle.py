"""Launches workflows; the same request with the same key is launched once."""

import hashlib
import secrets
import threading
import time
from collections.abc import Sequence

from pydantic import BaseModel

from yivideo_pipeline.service.dagster_client import Dagster
from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.workflows.callbacks import check_address
from yivideo_pipeline.service.workflows.requests import Plan, WorkflowRequest, find_video, plan
from yivideo_pipeline.service.workflows.runs import TRIGGER, TRIGGER_TAG, WORKFLOW_TAG, Run, runs_of
from yivideo_pipeline.service.workflows.status import Links, WorkflowState, links_of, state_of
from yivideo_pipeline.storage.artifacts import canonical_json

REQUEST_TAG = "yivideo/request"
"""Digest of the request that had an idempotency key."""

_TURNS = tuple(threading.Lock() for _ in range(64))


class Created(BaseModel):
    """A workflow that was taken; `video` is its partition key, `links.subtitles` will answer in the end."""

    workflow_id: str
    video: str
    stages: list[str]
    warnings: list[str]
    links: Links


def create(request: WorkflowRequest, idempotency_key: str | None, shared: ServiceState) -> Created:
    """Register the video and launch the run, unless the same was asked before under the same key.

    Raises:
        Refused: the request is wrong, or its key belongs to another one.
        ServiceUnreachable: Dagster does not answer.
    """
    settings = shared.settings.service
    if request.callback_url is not None:
        check_address(request.callback_url, settings)
    wanted = plan(request, shared.models)
    workflow = _id_of(idempotency_key)
    tags = {WORKFLOW_TAG: workflow, TRIGGER_TAG: TRIGGER}
    dagster = Dagster(settings.dagster_url)
    with turn_of(workflow):
        launched = None
        if idempotency_key is not None:
            tags[REQUEST_TAG] = _digest(request)
            launched = _find(dagster, workflow, tags[REQUEST_TAG])
        if launched is None:
            video = find_video(request.video_path, shared.settings)
            launched = video, _launch(dagster, video, wanted, tags, request.callback_url, shared)
    video, run_id = launched
    return Created(
        workflow_id=workflow,
        video=video,
        stages=list(wanted.stages),
        warnings=list(wanted.warnings),
        links=links_of(workflow, wanted.formats, run_id, settings.dagster_url),
    )


def turn_of(workflow: str) -> threading.Lock:
    """Return the lock under which a workflow is looked for and launched, so that no two do both at once."""
    return _TURNS[hash(workflow) % len(_TURNS)]


def _launch(
    dagster: Dagster,
    video: str,
    wanted: Plan,
    tags: dict[str, str],
    callback: str | None,
    shared: ServiceState,
) -> str:
    workflow = tags[WORKFLOW_TAG]
    if callback is not None:  # before the launch: killed in between, the service still tells of it
        shared.ledger.callbacks.ask(workflow, callback)
    try:
        dagster.add_video(video)
        return dagster.launch(video, wanted.stages, wanted.run_config, tags)
    except Exception:
        if callback is not None:
            shared.ledger.callbacks.drop(workflow)
        raise


def _find(dagster: Dagster, workflow: str, digest: str) -> tuple[str, str] | None:
    """Return the video and the first run of a workflow that may have been launched before."""
    runs = runs_of(dagster, [workflow], details=False)[workflow]
    if not runs:
        return None
    if runs[0].tags.get(REQUEST_TAG) != digest:
        hint = "Send another key with another request"
        raise Refused(409, "conflict", "The Idempotency-Key belongs to another request", hint)
    return runs[0].video, runs[0].run_id


def _id_of(idempotency_key: str | None) -> str:
    """Return a new id, or, so that nothing has to be remembered, the one that the key always gives."""
    if idempotency_key is None:
        return secrets.token_hex(16)
    return hashlib.sha256(f"yivideo workflow {idempotency_key}".encode()).hexdigest()[:32]


def _digest(request: WorkflowRequest) -> str:
    return hashlib.sha256(canonical_json(request.model_dump(mode="json")).encode()).hexdigest()


# PART service/workflows/control.py: Stops workflows, and launches them again.

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
