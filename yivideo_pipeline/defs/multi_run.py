"""A stage in a run of several videos: short ones side by side, and each one's success and failure for itself.

Side by side the videos share the model's batches, and their entries in Dagster's log are written while it
works (docs/adr/0018-short-videos-side-by-side.md).
"""

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby

import dagster as dg

from yivideo_pipeline.defs.checks.catalogue import Results, conclude, evaluations
from yivideo_pipeline.defs.dagster_internals import provenance_tags, read_input_tags, silent_output
from yivideo_pipeline.defs.execution import Execution, MakeStage, StepEvent, TakenTurn, Turn
from yivideo_pipeline.defs.metadata import Metadata
from yivideo_pipeline.defs.runs import is_last, retries_left, root_of
from yivideo_pipeline.defs.stage import StageResources, StageResult
from yivideo_pipeline.errors.tree import DiskError, YivideoError
from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.stages import FIRST_STAGE, LAST_STAGE, stages_before

SIDE_BY_SIDE = 8
"""Videos at work at once: two keep two cores busy, 8 take no more of them, and a GPU reads 8 in a batch."""
SHORT_S = 120.0
"""Up to this duration videos are taken side by side; longer ones fill the model's batches by themselves."""
SMALL_BYTES = 64 * 2**20
"""The same before the duration is known: large files on one disk are read faster one after the other."""


class MultiRun(Execution):
    """A stage of the videos of a run; the arguments are those of `Execution`.

    A video that fails holds up no other: transient faults are retried after all others had their turn, a
    video that killed a worker comes last and by itself, and a video that failed in an earlier stage of the
    run is skipped. The stage in which the run ends raises one failure that lists all failed videos.
    """

    def __init__(self, context: dg.AssetExecutionContext, resources: StageResources, make: MakeStage) -> None:
        super().__init__(context, resources, make)
        self._keys = context.partition_keys
        self._root = root_of(context.run)
        self._deaths_allowed = self._count_deaths_allowed()
        self._suspects = resources.ledger.workers.suspects()
        self._inputs: dict[str, dict[str, str]] = {}
        self._checks: dict[str, Results] = {}

    def first_turns(self) -> list[Turn]:
        """Return a turn for each video that did not fail in an earlier stage of the run."""
        failed = self.resources.ledger.failures.failed_in(self._root)
        # A failure of this stage, or of a later one, is of an earlier launch of the same run.
        earlier = stages_before(self.stage_name)
        skipped = {key for key, failure in failed.items() if failure.stage in earlier}
        keys = [key for key in self._keys if key not in skipped]
        if len(keys) < len(self._keys):
            self.context.log.info(
                f"Skipped: {plural(len(self._keys) - len(keys), 'video')} that failed before"
            )
        deaths = self.resources.ledger.workers.deaths()
        return [
            Turn(key) for key in sorted(keys, key=lambda key: (key in self._suspects, deaths.get(key, 0)))
        ]

    def attempts(self, turns: Sequence[Turn]) -> Generator[TakenTurn]:
        """Take turns, those of short videos side by side; yield what came of each, in order."""
        for side_by_side, group in groupby(turns, self._is_light):
            yield from (self._take_side_by_side if side_by_side else super().attempts)(list(group))

    def _take_side_by_side(self, turns: Sequence[Turn]) -> Generator[TakenTurn]:
        stopped = threading.Event()
        pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix=self.stage_name)
        try:
            for taken in [pool.submit(self.attempt, turn, stopped) for turn in turns]:
                yield taken.result()
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)

    def _is_light(self, turn: Turn) -> bool:
        """Return whether a turn can be taken beside others.

        One after a failure can't, since memory may have been short; one at a video that killed a worker
        can't, or its neighbours would be suspected next time; and the last stage can't, in which two videos
        may want a file of the same name.
        """
        if turn.earlier or turn.key in self._suspects or self.stage_name == LAST_STAGE:
            return False
        if self.stage_name == FIRST_STAGE:
            return self._size_of(turn.key) <= SMALL_BYTES
        known = self.resources.storage.find_latest(turn.key, FIRST_STAGE)
        duration_s = known.document["duration_s"] if known else None
        return duration_s is not None and duration_s <= SHORT_S

    def _size_of(self, key: str) -> int:
        try:
            return self.resources.library.path_of(key).stat().st_size
        except (YivideoError, OSError):
            return 0  # the stage says what is wrong

    def deaths_allowed(self) -> int:
        """Return the setting; 1 where Dagster would not launch the run again after one more death."""
        return self._deaths_allowed

    def begin(self, turn: Turn) -> None:
        """Read the versions of the inputs, for the provenance of the materialization."""
        self._inputs[turn.key] = read_input_tags(self.context.instance, self.stage_name, turn.key)
        if self.is_users_launch():
            self.note_launched(turn)

    def retry(self, turn: Turn, error: YivideoError, wait_s: float, cause: Exception) -> Turn:
        """Return the next turn, after those of all other videos."""
        return replace(turn, not_before=time.monotonic() + wait_s)

    def materialize(self, turn: Turn, result: StageResult, metadata: Metadata) -> Iterator[StepEvent]:
        """Yield the materialization of the video's partition, and the evaluations of its checks."""
        yield dg.AssetMaterialization(
            self.context.asset_key,
            partition=turn.key,
            metadata=metadata,
            tags=provenance_tags(self.stage_name, self._inputs[turn.key], result.data_version),
        )
        self._checks[turn.key] = result.checks
        yield from evaluations(self.context, turn.key, result.checks)

    def fail(
        self, turn: Turn, error: YivideoError, metadata: Metadata, cause: Exception
    ) -> Iterator[StepEvent]:
        """Yield an observation that shows the failure at the video's partition in the UI."""
        traced = None if isinstance(error, DiskError) else error.__cause__
        self.context.log.error(f"{self.stage_name} of {turn.key} failed: {error}", exc_info=traced)
        yield dg.AssetObservation(
            self.context.asset_key,
            description=f"Failed: {error}",
            partition=turn.key,
            metadata=metadata,
        )

    def finish(self) -> Iterator[StepEvent]:
        """Yield the checks of the run as a whole.

        Raises:
            dagster.Failure: videos failed, and this stage is the run's last.
        """
        yield from conclude(self.context, self._checks)
        known = self.resources.ledger.failures.failed_in(self._root)
        failed = [known[key] for key in self._keys if key in known]
        if failed and is_last(self.context.run, self.stage_name):
            raise dg.Failure(
                f"{len(failed)} of {plural(len(self._keys), 'video')} failed:"
                f" {', '.join(one.key for one in failed)}",
                metadata={
                    "failed": _failure_table(failed),
                    "videos": len(self._keys),
                    "videos_failed": len(failed),
                },
                allow_retries=False,
            )
        yield silent_output()

    def _count_deaths_allowed(self) -> int:
        # Without another launch of the run, its other videos would stay undone if one more worker died.
        if not self.context.instance.run_retries_enabled or retries_left(self.context):
            return self.settings.runs.quarantine_after
        return 1


def _failure_table(failed: Sequence[StageFailure]) -> dg.TableMetadataValue:
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
