"""One attempt at one stage of one video, and what its end means to the ledger."""

import logging
import os
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.checks import Results, blocked_by, check_facts, evaluate
from yivideo_pipeline.defs.runs import ask_for_fresh_process, is_first, root_of, tag_language, trigger_of
from yivideo_pipeline.defs.stage import Result, Stage, Tools
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.retry import RetryOptions, delays
from yivideo_pipeline.errors.tree import (
    CheckFailed,
    ConfigError,
    DeviceLost,
    DiskError,
    MediaError,
    ModelLoadError,
    ServiceUnreachable,
    TaskCancelled,
    WorkerKilled,
    YivideoError,
)
from yivideo_pipeline.history.samples import failed_sample, made_sample, read_origin
from yivideo_pipeline.ledger.failures import Attempt, StageFailure
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.ledger.samples import RunOrigin
from yivideo_pipeline.settings.sections import RetrySettings
from yivideo_pipeline.stages import LAST_STAGE

# PART defs/quarantine.py: When a video is set aside: nothing takes it up by itself until its file changes or somebody says so.

NOT_THE_VIDEOS_FAULT = (ConfigError, DiskError, ModelLoadError, ServiceUnreachable, TaskCancelled)
"""They fail every video alike: to count them would set the whole library aside over a full disk."""


def quarantine_if_due(tools: Tools, failed: StageFailure, error: YivideoError) -> bool:
    """Set a video aside where its failure says so; returns whether it is set aside now."""
    failures = tools.ledger.failures
    if not _is_due(tools, failed.key, error):
        return failures.find_quarantined(failed.key) is not None
    state = _state_of(tools, failed.key)
    failures.quarantine(failed.key, failed, state.st_size if state else 0, state.st_mtime_ns if state else 0)
    return True


def _is_due(tools: Tools, key: str, error: YivideoError) -> bool:
    if isinstance(error, MediaError):  # it does not get better by itself
        return True
    if isinstance(error, NOT_THE_VIDEOS_FAULT):
        return False
    after = tools.launch.settings.runs.quarantine_after
    return tools.ledger.failures.streak(key) >= after or tools.ledger.workers.deaths().get(key, 0) >= after


def _state_of(tools: Tools, key: str) -> os.stat_result | None:
    try:
        return tools.library.path_of(key).stat()
    except (DiskError, OSError):  # a file that comes back is another one than none
        return None


Make = Callable[[Stage], Result]
"""What a stage does for one video."""


@dataclass(frozen=True)
class Done:
    """What came of an attempt that went through: the result, and what the checks say of it."""

    result: Result
    checks: Results
    blocked: CheckFailed | None

    def metadata(self, earlier: Sequence[Attempt]) -> dict[str, Any]:
        """Return the materialization's metadata.

        Args:
            earlier: The attempts that failed before this one.
        """
        return {**self.result.metadata(earlier), **check_facts(self.checks)}


def attempt(stage: Stage, make: Make, run: RunOrigin, deaths_allowed: int) -> Done:
    """Do a stage's work on a video once, judge what was made, and deliver it unless a check blocks it.

    Args:
        stage: The stage and the video.
        make: What the stage does.
        run: The run that it is made in.
        deaths_allowed: A video at which so many workers died is not tried again.

    Raises:
        WorkerKilled: so many have died.
        Exception: whatever goes wrong in the stage.
    """
    settings = stage.tools.launch.settings
    with _at_work(stage, run, deaths_allowed):
        result = make(stage)
        checks = evaluate(stage.name, stage.partition_key, result.subject, settings)
        blocked = blocked_by(stage.name, checks, settings)
        if result.deliver and not blocked:
            result = replace(result, facts=result.deliver())
    return Done(result, checks, blocked)


@contextmanager
def _at_work(stage: Stage, run: RunOrigin, deaths_allowed: int) -> Generator[None]:
    workers = stage.tools.ledger.workers
    deaths = workers.begin(stage.partition_key, stage.name, run)
    try:
        if deaths >= deaths_allowed:
            raise WorkerKilled(
                f"The worker was killed {deaths} times while at this video",
                "Memory often ends so: see the system's log, then use a smaller model or a machine with more",
            )
        yield
    finally:
        workers.end(stage.partition_key)


def note_made(stage: Stage, result: Result, run_id: str) -> None:
    """Note what a stage has made, by which recipe, how fast.

    Args:
        stage: The stage and the video.
        result: What it made.
        run_id: The run's own.
    """
    artifact, now = result.kept.artifact, time.time()
    by = artifact.made_by
    stage.tools.ledger.materializations.note(
        Materialization(
            stage.partition_key,
            stage.name,
            stage_key=artifact.key,
            recipe=stage.recipe(),
            chosen=stage.is_chosen(),
            video_hash=artifact.video_hash,
            made_at=now,
            run_id=run_id,
            reused=result.kept.reused,
            audio_s=result.audio_s,
            measured_at=None if result.kept.reused else now,
            wall_s=None if result.kept.reused else result.kept.metrics.wall_s,
            rtfx=result.rtfx,
            model=by.get("model"),
            compute_type=by.get("compute_type"),
            device=by.get("device"),
        )
    )


def record_made(stage: Stage, run: RunOrigin, metadata: Mapping[str, Any]) -> None:
    """Record what a stage cost that was made; `metadata` is its materialization's."""
    sample = made_sample(run, stage.name, stage.partition_key, time.time(), metadata)
    stage.tools.ledger.samples.record(sample)


def record_failed(stage: Stage, run: RunOrigin, error: YivideoError, attempts: int) -> None:
    """Record that a stage failed for good in this run."""
    metadata = failure_metadata(error, attempts, set_aside=False)
    sample = failed_sample(run, stage.name, stage.partition_key, time.time(), metadata)
    stage.tools.ledger.samples.record(sample)


def note_success(stage: Stage, run_id: str) -> None:
    """Note that a stage went well (`run_id` is the root's); the last one ends all trouble with the video."""
    ledger, key = stage.tools.ledger, stage.partition_key
    ledger.attempts.forget(key, stage.name)
    ledger.failures.forgive(key, run_id)
    if stage.name == LAST_STAGE:
        ledger.failures.note_success(key)


def note_failure(stage: Stage, run_id: str, error: YivideoError, attempts: int) -> tuple[StageFailure, bool]:
    """Note that a stage failed for good in this run (`run_id` is the root's).

    Returns:
        The failure, and whether the video is set aside for it.
    """
    ledger, key = stage.tools.ledger, stage.partition_key
    ledger.attempts.forget(key, stage.name)
    failed = ledger.failures.note_failure(key, stage.name, run_id, error, attempts)
    return failed, quarantine_if_due(stage.tools, failed, error)


# PART defs/failures.py: Errors as Dagster understands them: tried again, or ended at once with the reason.

RELEASE_HINT = "It is set aside now: after a remedy, `yivideo quarantine release` takes it up again"


def wait_after(settings: RetrySettings, attempt: int) -> float | None:
    """Return the seconds to wait after a failed attempt, the first being 1; None where it was the last."""
    retry = RetryOptions(**settings.model_dump())
    wait_s = next(islice(delays(retry), attempt - 1, None), None)
    if wait_s is None:
        return None
    return min(wait_s * random.uniform(1 - retry.jitter, 1 + retry.jitter), retry.max_delay_s)


def ask_for_retry(error: YivideoError, attempt: int, of: int, wait_s: float) -> dg.RetryRequested:
    """Return what makes Dagster run the step again; it says why, and the UI shows it."""
    request = dg.RetryRequested(max_retries=of - 1, seconds_to_wait=wait_s)
    request.add_note(f"Attempt {attempt} of {of} failed: {error}. The next one in {wait_s:.1f} s")
    return request


def as_failure(error: YivideoError, attempts: int, *, set_aside: bool = False) -> dg.Failure:
    """Return what ends the step for good, with the kind of the error, its words and what to do."""
    return dg.Failure(
        ". ".join([str(error), *([RELEASE_HINT] if set_aside else [])]),
        metadata=failure_metadata(error, attempts, set_aside=set_aside),
        allow_retries=False,
    )


def failure_metadata(
    error: YivideoError, attempts: int, *, set_aside: bool
) -> dict[str, str | int | bool | float | dg.MetadataValue]:
    """Return what is told of a failure, under the same names wherever it is shown."""
    context = error.context
    return {
        "kind": error.kind,
        "severity": str(error.severity),
        "message": error.message,
        "hint": error.hint,
        "video": context.video or "",
        "stage": context.stage or "",
        "second": dg.MetadataValue.null() if context.second is None else context.second,
        "attempts": attempts,
        "quarantined": set_aside,
    }


# PART defs/single.py: A stage in a run of one video: made, tried again by Dagster, or failed with its reason.

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
    run = read_origin(context.instance, context.run_id)
    if _is_asked_by_a_person(context, stage):
        tools.ledger.workers.forget(stage.partition_key)  # who asks for it knows what it did
    earlier = tools.ledger.attempts.of(stage.partition_key, stage.name, context.run_id)
    try:
        done = attempt(stage, make, run, after)
        note_made(stage, done.result, context.run_id)
    except Exception as error:
        raise _what_follows(context, stage, run, error) from error
    if stage.name == "transcript":
        tag_language(context, done.result.kept.document["language"])
    metadata = done.metadata(earlier)
    record_made(stage, run, metadata)
    yield dg.MaterializeResult(
        metadata=metadata,
        data_version=dg.DataVersion(done.result.data_version),
        check_results=done.checks,
    )
    if done.blocked:
        blocked = done.blocked.within(stage.partition_key, stage.name)
        record_failed(stage, run, blocked, len(earlier) + 1)
        _, set_aside = note_failure(stage, root, blocked, len(earlier) + 1)
        raise as_failure(blocked, len(earlier) + 1, set_aside=set_aside)
    note_success(stage, root)


def _is_asked_by_a_person(context: dg.AssetExecutionContext, stage: Stage) -> bool:
    run = context.run
    is_retry = run.parent_run_id is not None or context.retry_number > 0
    return not is_retry and is_first(run, stage.name) and trigger_of(run) in PERSONS


def _what_follows(
    context: dg.AssetExecutionContext, stage: Stage, run: RunOrigin, error: Exception
) -> dg.RetryRequested | dg.Failure:
    """Decide what an error means: another attempt, another process, or the end."""
    retry = stage.tools.launch.settings.retry
    found = classify(error, video=stage.partition_key, stage=stage.name)
    number = context.retry_number + 1
    if ask_for_fresh_process(context, found):
        context.log.warning(f"{found} The run is tried again in a fresh process")
        record_failed(stage, run, found, number)
        return as_failure(found, number)
    wait_s = wait_after(retry, number)
    if wait_s is None or not found.retryable or isinstance(found, DeviceLost):
        log.error("%s of %s failed: %s", stage.name, stage.partition_key, found, exc_info=error)
        record_failed(stage, run, found, number)
        _, set_aside = note_failure(stage, root_of(context.run), found, number)
        return as_failure(found, number, set_aside=set_aside)
    context.log.warning(
        f"Attempt {number} of {retry.max_attempts} failed ({found}); the next one in {wait_s:.1f} s"
    )
    waiting = Attempt(found.kind, found.message, wait_s)
    stage.tools.ledger.attempts.note(stage.partition_key, stage.name, context.run_id, waiting)
    return ask_for_retry(found, number, retry.max_attempts, wait_s)
