"""What a run of Dagster's says: its stages, its place among retries, its tags, and how it failed."""

import time
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.instance import WORKER_TAG
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.errors.redact import redact
from yivideo_pipeline.errors.tree import DeviceLost, YivideoError
from yivideo_pipeline.ledger.alive import worker_of_this_process
from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.stages import MODEL_TAG, STAGES, TRIGGER_TAG

VIDEO_TAG = "yivideo/video"
LANGUAGE_TAG = "yivideo/language"
MAX_RETRIES_TAG = "dagster/max_retries"
RETRY_TAG = "dagster/retry_on_asset_or_op_failure"
"""Dagster retries a run whose process died, but one with a failed step only where this tag is `true`."""
FRESH_PROCESS_TAG = ".dagster/yivideo-fresh-process"
"""Says that the pipeline asked for the retry, not the user who launched the run."""
USER_TRIGGERS = {"cli", "ui", "gateway"}
"""Triggers of runs that a user asked for; they are made whatever happened before."""

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""The states of a run that has not come to its end."""

_TRIGGERS = {
    "dagster/schedule_name": "schedule",
    "dagster/from_automation_condition": "automation",
    "dagster/sensor_name": "sensor",
    "dagster/backfill": "backfill",
}
"""By Dagster's own tags, for runs whose launch did not say; the first that a run has counts."""


def selected_stages(run: dg.DagsterRun) -> frozenset[str]:
    """Return the stages that a run makes: all, the selected ones, or those left for a retry."""
    stages = frozenset(STAGES)
    if run.asset_selection:  # `execute_in_process` notes an empty one for all
        stages &= {key.to_user_string() for key in run.asset_selection}
    if run.step_keys_to_execute is not None:  # a retry leaves out what its parent finished
        stages &= set(run.step_keys_to_execute)
    return stages


def is_first(run: dg.DagsterRun, stage: str) -> bool:
    """Return whether a run begins with this stage: it makes nothing that the stage reads."""
    return not selected_stages(run).intersection(STAGES[stage].upstream)


def is_last(run: dg.DagsterRun, stage: str) -> bool:
    """Return whether a run ends with this stage: it makes nothing that reads the stage."""
    return not any(stage in STAGES[other].upstream for other in selected_stages(run))


def root_of(run: dg.DagsterRun) -> str:
    """Return the id that a run shares with all its retries."""
    return run.root_run_id or run.run_id


def trigger_of(run: dg.DagsterRun) -> str:
    """Return what launched a run."""
    by_dagster = (trigger for tag, trigger in _TRIGGERS.items() if tag in run.tags)
    return run.tags.get(TRIGGER_TAG) or next(by_dagster, "ui")


def is_over(context: dg.AssetExecutionContext) -> bool:
    """Return whether a run that is being executed was cancelled or closed meanwhile, or deleted."""
    # Asked for again and again: the run itself is not decoded for it.
    at_work = dg.RunsFilter(run_ids=[context.run_id], statuses=[dg.DagsterRunStatus.STARTED])
    return not context.instance.get_run_ids(at_work, limit=1)


def tag_run(context: dg.AssetExecutionContext, launch: Launch) -> None:
    """Tag a run in its first stage; the other stages find it tagged."""
    run = context.run
    if not is_first(run, context.asset_key.to_user_string()):
        return
    tags = {
        WORKER_TAG: worker_of_this_process(),
        MODEL_TAG: launch.chosen(launch.speech_options()).model_name,
        TRIGGER_TAG: trigger_of(run),
    }
    if run.tags.get(FRESH_PROCESS_TAG) == "true":
        # A retry has its parent's tags, but another failure needs no fresh process.
        tags |= {RETRY_TAG: "false", FRESH_PROCESS_TAG: "false"}
    if context.has_partition_key:
        tags[VIDEO_TAG] = context.partition_key
    context.instance.add_run_tags(run.run_id, tags)


def tag_language(context: dg.AssetExecutionContext, language: str | None) -> None:
    """Tag the run of one video with its spoken language."""
    if language:
        context.instance.add_run_tags(context.run_id, {LANGUAGE_TAG: language})


def retries_left(context: dg.AssetExecutionContext) -> int:
    """Return how often the daemon would launch this run again, if its process died."""
    instance, run = context.instance, context.run
    if not instance.run_retries_enabled:
        return 0
    allowed = int(run.tags.get(MAX_RETRIES_TAG, instance.run_retries_max_retries))
    retried = instance.get_runs_count(dg.RunsFilter(tags={"dagster/root_run_id": root_of(run)}))
    return max(0, allowed - retried)


def is_retried(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return whether another run was launched in place of a failed one, by Dagster or a user."""
    return instance.get_runs_count(dg.RunsFilter(tags={"dagster/parent_run_id": run.run_id})) > 0


def ask_for_fresh_process(context: dg.AssetExecutionContext, error: YivideoError) -> bool:
    """Have the run retried once its step has failed, if another process may help and retries are left.

    A process that lost its GPU does not get it back. The retry begins with the failed stage.
    """
    if not isinstance(error, DeviceLost) or not retries_left(context):
        return False
    context.instance.add_run_tags(context.run_id, {RETRY_TAG: "true", FRESH_PROCESS_TAG: "true"})
    return True


def failure_of_step(key: str, event: dg.DagsterEvent, run_id: str) -> StageFailure:
    """Return why a step failed, from Dagster's event.

    Args:
        key: The video, or how the run's videos are named.
        event: The failure of the step.
        run_id: The run.
    """
    data = event.step_failure_data
    raised = data.user_failure_data
    values: dict[str, Any] = {name: one.value for name, one in raised.metadata.items()} if raised else {}
    message = (raised and raised.description) or (data.error.message.strip() if data.error else "It failed")
    return StageFailure(
        key=key,
        stage=str(values.get("stage", event.step_key or "")),
        run_id=run_id,
        kind=str(values.get("kind", "unknown")),
        message=str(values.get("message", message)),
        hint=str(values.get("hint", "")),
        attempts=values.get("attempts", 1),
        at=time.time(),
    )


def failure_of_run(key: str, event: dg.DagsterEvent, run_id: str) -> StageFailure:
    """Return why a run failed outside of all its steps, from Dagster's event.

    Args:
        key: The video.
        event: The failure of the run.
        run_id: The run.
    """
    error = event.job_failure_data.error
    while error and error.cause:
        error = error.cause
    message = (error.message if error else event.message or "").strip().partition("\n")[0]
    return StageFailure(
        key=key,
        stage="",
        run_id=run_id,
        kind="unknown",
        message=redact(f"The run failed outside of its stages: {message}"),
        hint="Try again; if it stays so, `yivideo doctor` looks for what is wrong",
        attempts=1,
        at=time.time(),
    )
