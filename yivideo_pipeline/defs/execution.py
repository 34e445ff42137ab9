"""One attempt at one stage of one video, and what its end means to the ledger."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from yivideo_pipeline.defs.checks import Results, blocked_by, check_facts, evaluate
from yivideo_pipeline.defs.quarantine import quarantine_if_due
from yivideo_pipeline.defs.results import Result
from yivideo_pipeline.defs.stage import Stage
from yivideo_pipeline.errors.tree import CheckFailed, WorkerKilled, YivideoError
from yivideo_pipeline.ledger.attempts import Attempt
from yivideo_pipeline.ledger.failures import Failed
from yivideo_pipeline.ledger.materializations import Made
from yivideo_pipeline.stages import LAST

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


def attempt(stage: Stage, make: Make, run_id: str, deaths_allowed: int) -> Done:
    """Do a stage's work on a video once, judge what was made, and deliver it unless a check blocks it.

    Args:
        stage: The stage and the video.
        make: What the stage does.
        run_id: The root run's.
        deaths_allowed: A video at which so many workers died is not tried again.

    Raises:
        WorkerKilled: so many have died.
        Exception: whatever goes wrong in the stage.
    """
    settings = stage.tools.launch.settings
    with _at_work(stage, run_id, deaths_allowed):
        result = make(stage)
        checks = evaluate(stage.name, stage.partition_key, result.subject, settings)
        blocked = blocked_by(stage.name, checks, settings)
        if result.deliver and not blocked:
            result = replace(result, facts=result.deliver())
    return Done(result, checks, blocked)


@contextmanager
def _at_work(stage: Stage, run_id: str, deaths_allowed: int) -> Generator[None]:
    workers = stage.tools.ledger.workers
    deaths = workers.begin(stage.partition_key, stage.name, run_id)
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
    stage.tools.ledger.made.note(
        Made(
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


def note_success(stage: Stage, run_id: str) -> None:
    """Note that a stage went well (`run_id` is the root's); the last one ends all trouble with the video."""
    ledger, key = stage.tools.ledger, stage.partition_key
    ledger.attempts.forget(key, stage.name)
    ledger.failures.forgive(key, run_id)
    if stage.name == LAST:
        ledger.failures.note_success(key)


def note_failure(stage: Stage, run_id: str, error: YivideoError, attempts: int) -> tuple[Failed, bool]:
    """Note that a stage failed for good in this run (`run_id` is the root's).

    Returns:
        The failure, and whether the video is set aside for it.
    """
    ledger, key = stage.tools.ledger, stage.partition_key
    ledger.attempts.forget(key, stage.name)
    failed = ledger.failures.note_failure(key, stage.name, run_id, error, attempts)
    return failed, quarantine_if_due(stage.tools, failed, error)
