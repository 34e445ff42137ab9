"""A stage in a run of one video: made, tried again by Dagster, or failed with its reason."""

import logging
from collections.abc import Iterator

import dagster as dg

from yivideo_pipeline.defs.execution import Make, attempt, note_failure, note_made, note_success
from yivideo_pipeline.defs.failures import as_failure, ask_for_retry, wait_after
from yivideo_pipeline.defs.fresh_process import ask_for_fresh_process
from yivideo_pipeline.defs.runs import tag_language, trigger_of
from yivideo_pipeline.defs.selection import is_first, root_of
from yivideo_pipeline.defs.stage import Stage, Tools
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import DeviceLost
from yivideo_pipeline.ledger.attempts import Attempt

PERSONS = {"cli", "ui", "gateway"}
"""Triggers of runs that somebody asked for; whatever happened before, they are made."""

log = logging.getLogger(__name__)


def make_one(context: dg.AssetExecutionContext, tools: Tools, make: Make) -> Iterator[dg.MaterializeResult]:
    """Make the stage of the run's one video.

    Raises:
        dagster.RetryRequested: it may go better next time, and attempts are left.
        dagster.Failure: it will not, they are used up, or a check blocks; Dagster does not try again.
    """
    stage = Stage(context.asset_key.to_user_string(), context.partition_key, tools, context.log)
    root, after = root_of(context.run), tools.launch.settings.runs.quarantine_after
    if _is_asked_by_a_person(context, stage):
        tools.ledger.workers.forget(stage.partition_key)  # who asks for it knows what it did
    earlier = tools.ledger.attempts.of(stage.partition_key, stage.name, context.run_id)
    try:
        done = attempt(stage, make, root, after)
        note_made(stage, done.result, context.run_id)
    except Exception as error:
        raise _what_follows(context, stage, error) from error
    if stage.name == "transcript":
        tag_language(context, done.result.kept.document["language"])
    yield dg.MaterializeResult(
        metadata=done.metadata(earlier),
        data_version=dg.DataVersion(done.result.data_version),
        check_results=done.checks,
    )
    if done.blocked:
        blocked = done.blocked.within(stage.partition_key, stage.name)
        _, set_aside = note_failure(stage, root, blocked, len(earlier) + 1)
        raise as_failure(blocked, len(earlier) + 1, set_aside=set_aside)
    note_success(stage, root)


def _is_asked_by_a_person(context: dg.AssetExecutionContext, stage: Stage) -> bool:
    run = context.run
    is_retry = run.parent_run_id is not None or context.retry_number > 0
    return not is_retry and is_first(run, stage.name) and trigger_of(run) in PERSONS


def _what_follows(
    context: dg.AssetExecutionContext, stage: Stage, error: Exception
) -> dg.RetryRequested | dg.Failure:
    """Decide what an error means: another attempt, another process, or the end."""
    retry = stage.tools.launch.settings.retry
    found = classify(error, video=stage.partition_key, stage=stage.name)
    number = context.retry_number + 1
    if ask_for_fresh_process(context, found):
        context.log.warning(f"{found} The run is tried again in a fresh process")
        return as_failure(found, number)
    wait_s = wait_after(retry, number)
    if wait_s is None or not found.retryable or isinstance(found, DeviceLost):
        log.error("%s of %s failed: %s", stage.name, stage.partition_key, found, exc_info=error)
        _, set_aside = note_failure(stage, root_of(context.run), found, number)
        return as_failure(found, number, set_aside=set_aside)
    context.log.warning(
        f"Attempt {number} of {retry.max_attempts} failed ({found}); the next one in {wait_s:.1f} s"
    )
    waiting = Attempt(found.kind, found.message, wait_s)
    stage.tools.ledger.attempts.note(stage.partition_key, stage.name, context.run_id, waiting)
    return ask_for_retry(found, number, retry.max_attempts, wait_s)
