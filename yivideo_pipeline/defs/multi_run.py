"""A stage in a run of several videos: each one's success and failure is recorded for itself.

A video that fails holds up no other: transient faults are tried again after all others had their turn, what
killed a worker comes last, and what failed in an earlier stage of the run is passed over. The stage
in which the run ends raises one failure that lists them all.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import dagster as dg

from yivideo_pipeline.defs.checks import Results, conclude, evaluations
from yivideo_pipeline.defs.dagster_internals import provenance, read_inputs, silent_output
from yivideo_pipeline.defs.execution import (
    Done,
    Make,
    as_failure,
    attempt,
    failure_metadata,
    note_failure,
    note_made,
    note_success,
    record_failed,
    record_made,
    wait_after,
)
from yivideo_pipeline.defs.runs import ask_for_fresh_process, is_last, retries_left, root_of
from yivideo_pipeline.defs.stage import Stage, Tools
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import DeviceLost, YivideoError
from yivideo_pipeline.history.samples import read_origin
from yivideo_pipeline.ledger.failures import Attempt, StageFailure
from yivideo_pipeline.stages import stages_before

Event = (
    dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation | dg.MaterializeResult | dg.Output
)


@dataclass(frozen=True)
class Turn:
    """A video's next turn: what it has behind it, and when it may begin (of `time.monotonic`)."""

    key: str
    earlier: tuple[Attempt, ...] = ()
    not_before: float = 0.0


class Group:
    """One stage of the videos of a run.

    Args:
        context: Of the stage's step.
        tools: The run's resources.
        make: What the stage does for one video.
    """

    def __init__(self, context: dg.AssetExecutionContext, tools: Tools, make: Make) -> None:
        self._context = context
        self._tools = tools
        self._make = make
        self._name = context.asset_key.to_user_string()
        self._keys = context.partition_keys
        self._root = root_of(context.run)
        self._run = read_origin(context.instance, context.run_id)
        self._deaths_allowed = _deaths_allowed(context, tools)
        self._checks: dict[str, Results] = {}

    def run(self) -> Iterator[Event]:
        """Make the stage of every video, one after the other; events are logged as they come.

        Raises:
            dagster.Failure: videos failed and this stage is the run's last, or the GPU is gone.
        """
        turns = self._first_turns()
        while turns:
            again: list[Turn] = []
            for turn in turns:
                time.sleep(max(0.0, turn.not_before - time.monotonic()))
                yield from self._take(turn, again)
            turns = again
        yield from conclude(self._context, self._checks)
        self._fail_at_the_end()
        yield silent_output()

    def _first_turns(self) -> list[Turn]:
        failed = self._tools.ledger.failures.failed_in(self._root)
        # One of this stage, or of a later one, was recorded before the run was launched again.
        before = stages_before(self._name)
        over = {key for key, one in failed.items() if one.stage in before}
        keys = [key for key in self._keys if key not in over]
        if len(keys) < len(self._keys):
            self._context.log.info(f"{len(self._keys) - len(keys)} videos that failed before are passed over")
        deaths = self._tools.ledger.workers.deaths()
        return [Turn(key) for key in sorted(keys, key=lambda key: deaths.get(key, 0))]

    def _take(self, turn: Turn, again: list[Turn]) -> Iterator[Event]:
        stage = Stage(self._name, turn.key, self._tools, self._context.log)
        try:
            inputs = read_inputs(self._context.instance, self._name, turn.key)
            done = attempt(stage, self._make, self._run, self._deaths_allowed)
            note_made(stage, done.result, self._context.run_id)
        except Exception as error:
            found = classify(error, video=turn.key, stage=self._name)
            if ask_for_fresh_process(self._context, found):
                record_failed(stage, self._run, found, len(turn.earlier) + 1)
                raise as_failure(found, len(turn.earlier) + 1) from error
            if waiting := self._try_later(turn, found):
                again.append(waiting)
            else:
                yield self._failed(stage, found, turn)
            return
        yield from self._made(stage, done, turn, inputs)

    def _try_later(self, turn: Turn, error: YivideoError) -> Turn | None:
        """Return the video's next turn; None where it has none."""
        number = len(turn.earlier) + 1
        wait_s = wait_after(self._tools.launch.settings.retry, number)
        if wait_s is None or not error.retryable or isinstance(error, DeviceLost):
            return None
        self._context.log.warning(
            f"Attempt {number} at {turn.key} failed ({error}); the next one after the others"
        )
        earlier = (*turn.earlier, Attempt(error.kind, error.message, wait_s))
        return replace(turn, earlier=earlier, not_before=time.monotonic() + wait_s)

    def _made(self, stage: Stage, done: Done, turn: Turn, inputs: dict[str, str]) -> Iterator[Event]:
        metadata = done.metadata(turn.earlier)
        record_made(stage, self._run, metadata)
        yield dg.AssetMaterialization(
            self._context.asset_key,
            partition=turn.key,
            metadata=metadata,
            tags=provenance(self._name, inputs, done.result.data_version),
        )
        self._checks[turn.key] = done.checks
        yield from evaluations(self._context, turn.key, done.checks)
        if done.blocked:
            yield self._failed(stage, done.blocked.within(turn.key, self._name), turn)
        else:
            note_success(stage, self._root)

    def _failed(self, stage: Stage, error: YivideoError, turn: Turn) -> dg.AssetObservation:
        """Record a failure; what is returned shows it in the UI, at the video's partition."""
        attempts = len(turn.earlier) + 1
        record_failed(stage, self._run, error, attempts)
        _, set_aside = note_failure(stage, self._root, error, attempts)
        self._context.log.error(f"{self._name} of {turn.key} failed: {error}", exc_info=error.__cause__)
        return dg.AssetObservation(
            self._context.asset_key,
            description=f"Failed: {error}",
            partition=turn.key,
            metadata=failure_metadata(error, attempts, set_aside=set_aside),
        )

    def _fail_at_the_end(self) -> None:
        known = self._tools.ledger.failures.failed_in(self._root)
        failed = [known[key] for key in self._keys if key in known]
        if failed and is_last(self._context.run, self._name):
            raise dg.Failure(
                f"{len(failed)} of {len(self._keys)} videos failed: {', '.join(one.key for one in failed)}",
                metadata={"failed": _table(failed), "videos": len(self._keys), "videos_failed": len(failed)},
                allow_retries=False,
            )


def _deaths_allowed(context: dg.AssetExecutionContext, tools: Tools) -> int:
    """Return at how many dead workers a video of a group is given up.

    Where the daemon would not start the run again, its other videos would stay undone if one more died.
    """
    after = tools.launch.settings.runs.quarantine_after
    if not context.instance.run_retries_enabled or retries_left(context):
        return after
    return 1


def _table(failed: Sequence[StageFailure]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "video": one.key,
                    "stage": one.stage,
                    "kind": one.kind,
                    "reason": one.message,
                    "what to do": one.hint,
                    "attempts": one.attempts,
                }
            )
            for one in failed
        ]
    )
