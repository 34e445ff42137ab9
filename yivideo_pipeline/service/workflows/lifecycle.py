"""The lifecycle of workflows: create, cancel, retry. A request that is repeated by its key launches once."""

import hashlib
import secrets
import threading
import time
from collections.abc import Sequence

from pydantic import BaseModel

from yivideo_pipeline.library.watch import open_watch
from yivideo_pipeline.service.allowed_paths import resolve_video
from yivideo_pipeline.service.dagster_client import DagsterClient
from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.workflows.callbacks import require_callback_url
from yivideo_pipeline.service.workflows.requests import LaunchPlan, WorkflowRequest, plan_launch
from yivideo_pipeline.service.workflows.runs import TRIGGER, WORKFLOW_TAG, WorkflowRun, runs_of
from yivideo_pipeline.service.workflows.status import WorkflowLinks, WorkflowState, links_of, state_of
from yivideo_pipeline.stages import TRIGGER_TAG
from yivideo_pipeline.storage.artifacts import canonical_json

REQUEST_TAG = "yivideo/request"
"""Digest of a request that had an idempotency key."""
CANCEL_S = 45
"""Dagster can stop a run that waits or works, but for some seconds not one whose process is being started."""
_CANCEL_INTERVAL_S = 0.5

_LOCKS = tuple(threading.Lock() for _ in range(64))


class WorkflowCreated(BaseModel):
    """An accepted workflow; `video` is its partition key, `links.subtitles` work once it has succeeded."""

    workflow_id: str
    video: str
    stages: list[str]
    warnings: list[str]
    links: WorkflowLinks


def create(request: WorkflowRequest, idempotency_key: str | None, shared: ServiceState) -> WorkflowCreated:
    """Register the video and launch the run, unless the same request was sent before under the same key.

    Raises:
        Refused: The request is wrong, or its key belongs to another one.
        ServiceUnreachable: Dagster does not answer.
    """
    settings, dagster = shared.settings, shared.dagster
    if request.callback_url is not None:
        require_callback_url(request.callback_url, settings.service)
    plan = plan_launch(
        request,
        settings.speech.options,
        settings.subtitles,
        shared.allowed_folders,
        shared.models.local.check,
    )
    workflow_id = _id_of(idempotency_key)
    tags = {WORKFLOW_TAG: workflow_id, TRIGGER_TAG: TRIGGER}
    with lock_of(workflow_id):
        launched = None
        if idempotency_key is not None:
            tags[REQUEST_TAG] = _digest(request)
            launched = _find_launched(dagster, workflow_id, tags[REQUEST_TAG])
        if launched is None:
            video = resolve_video(request.video_path, settings.library.roots, shared.allowed_folders)
            launched = video, _launch(video, plan, tags, request.callback_url, shared)
    video, run_id = launched
    return WorkflowCreated(
        workflow_id=workflow_id,
        video=video,
        stages=list(plan.stages),
        warnings=list(plan.warnings),
        links=links_of(workflow_id, plan.formats, run_id, settings.service.dagster_url),
    )


def cancel(dagster: DagsterClient, runs: Sequence[WorkflowRun]) -> None:
    """Stop a workflow; one that is cancelled already stays cancelled.

    Raises:
        Refused: 409; it has ended, or can't be stopped now.
        ServiceUnreachable: Dagster does not answer.
    """
    deadline = time.monotonic() + CANCEL_S
    while (state := state_of(runs)) not in (WorkflowState.CANCELLED, WorkflowState.CANCELLING):
        if state in (WorkflowState.SUCCEEDED, WorkflowState.FAILED):
            raise Refused(409, "conflict", f"The workflow has {state} already", "There is nothing to cancel")
        if state is not WorkflowState.RETRYING and dagster.terminate(runs[-1].run_id):
            return
        if time.monotonic() > deadline:
            hint = "Try again in some seconds"
            raise Refused(409, "conflict", "Dagster is just starting the workflow's run", hint)
        time.sleep(_CANCEL_INTERVAL_S)
        workflow_id = runs[-1].workflow_id
        runs = runs_of(dagster, [workflow_id], details=False)[workflow_id]


def retry(dagster: DagsterClient, runs: Sequence[WorkflowRun]) -> None:
    """Launch a failed or cancelled workflow again; `runs` have their details.

    Raises:
        Refused: 409; it is not over, or has succeeded.
        ServiceUnreachable: Dagster does not answer.
    """
    state = state_of(runs)
    if state not in (WorkflowState.FAILED, WorkflowState.CANCELLED):
        hint = "Only what failed or was cancelled can be tried again"
        raise Refused(409, "conflict", f"The workflow is {state}", hint)
    latest = runs[-1]
    # A run that was cancelled, or died before its first stage, has no failed step to start from.
    has_failed_step = any(step.status == "FAILURE" for step in latest.steps)
    dagster.reexecute(latest.run_id, from_failure=has_failed_step)


def lock_of(workflow_id: str) -> threading.Lock:
    """Return the lock under which a workflow is looked up and launched, so that no two launch it at once."""
    return _LOCKS[hash(workflow_id) % len(_LOCKS)]


def _launch(
    video: str, plan: LaunchPlan, tags: dict[str, str], callback_url: str | None, shared: ServiceState
) -> str:
    workflow_id, callbacks = tags[WORKFLOW_TAG], shared.ledger.callbacks
    if callback_url is not None:  # before the launch, so that it survives a kill in between
        callbacks.ask(workflow_id, callback_url)
    try:
        shared.dagster.add_video(video)
        run_id = shared.dagster.launch(video, plan.stages, plan.run_config, tags)
    except Exception:
        if callback_url is not None:
            callbacks.drop(workflow_id)
        raise
    if plan.delivers_beside_video:  # the watch would process a new file once more
        open_watch(shared.settings, shared.ledger, shared.storage).note_launched(video)
    return run_id


def _find_launched(dagster: DagsterClient, workflow_id: str, digest: str) -> tuple[str, str] | None:
    """Return the video and the first run of a workflow; None where it was not launched before."""
    runs = runs_of(dagster, [workflow_id], details=False)[workflow_id]
    if not runs:
        return None
    if runs[0].tags.get(REQUEST_TAG) != digest:
        hint = "Send another key with another request"
        raise Refused(409, "conflict", "The Idempotency-Key belongs to another request", hint)
    return runs[0].video, runs[0].run_id


def _id_of(idempotency_key: str | None) -> str:
    """Return a new id, or the one that a key always gives, so that no table of keys is needed."""
    if idempotency_key is None:
        return secrets.token_hex(16)
    return hashlib.sha256(f"yivideo workflow {idempotency_key}".encode()).hexdigest()[:32]


def _digest(request: WorkflowRequest) -> str:
    return hashlib.sha256(canonical_json(request.model_dump(mode="json")).encode()).hexdigest()
