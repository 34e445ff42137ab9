"""A stage in a run of several videos: the success and failure of each is recorded for itself.

A video that fails holds up no other: transient faults are retried after all others had their turn, a video
that killed a worker comes last, and a video that failed in an earlier stage of the run is skipped. The stage
in which the run ends raises one failure that lists all failed videos.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import dagster as dg

from yivideo_pipeline.defs.checks.events import Results, conclude, evaluations
from yivideo_pipeline.defs.dagster_internals import provenance_tags, read_input_tags, silent_output
from yivideo_pipeline.defs.execution import Execution, MakeStage, StepEvent, Turn
from yivideo_pipeline.defs.metadata import Metadata
from yivideo_pipeline.defs.runs import is_last, retries_left, root_of
from yivideo_pipeline.defs.stage import StageResources, StageResult
from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.stages import stages_before


class MultiRun(Execution):
    """A stage of the videos of a run, one video after the other; the arguments are those of `Execution`."""

    def __init__(self, context: dg.AssetExecutionContext, resources: StageResources, make: MakeStage) -> None:
        super().__init__(context, resources, make)
        self._keys = context.partition_keys
        self._root = root_of(context.run)
        self._deaths_allowed = self._count_deaths_allowed()
        self._inputs: dict[str, str] = {}
        self._checks: dict[str, Results] = {}

    def first_turns(self) -> list[Turn]:
        """Return a turn for each video that did not fail in an earlier stage of the run."""
        failed = self.resources.ledger.failures.failed_in(self._root)
        # A failure of this stage, or of a later one, is of an earlier launch of the same run.
        earlier = stages_before(self.stage_name)
        skipped = {key for key, failure in failed.items() if failure.stage in earlier}
        keys = [key for key in self._keys if key not in skipped]
        if len(keys) < len(self._keys):
            self.context.log.info(f"{len(self._keys) - len(keys)} videos that failed before are skipped")
        deaths = self.resources.ledger.workers.deaths()
        return [Turn(key) for key in sorted(keys, key=lambda key: deaths.get(key, 0))]

    def deaths_allowed(self) -> int:
        """Return the setting; 1 where Dagster would not launch the run again after one more death."""
        return self._deaths_allowed

    def begin(self, turn: Turn) -> None:
        """Read the versions of the inputs, for the provenance of the materialization."""
        self._inputs = read_input_tags(self.context.instance, self.stage_name, turn.key)

    def retry(self, turn: Turn, error: YivideoError, wait_s: float, cause: Exception) -> Turn:
        """Return the next turn, after those of all other videos."""
        return replace(turn, not_before=time.monotonic() + wait_s)

    def materialize(self, turn: Turn, result: StageResult, metadata: Metadata) -> Iterator[StepEvent]:
        """Yield the materialization of the video's partition, and the evaluations of its checks."""
        yield dg.AssetMaterialization(
            self.context.asset_key,
            partition=turn.key,
            metadata=metadata,
            tags=provenance_tags(self.stage_name, self._inputs, result.data_version),
        )
        self._checks[turn.key] = result.checks
        yield from evaluations(self.context, turn.key, result.checks)

    def fail(
        self, turn: Turn, error: YivideoError, metadata: Metadata, cause: Exception
    ) -> Iterator[StepEvent]:
        """Yield an observation that shows the failure at the video's partition in the UI."""
        self.context.log.error(f"{self.stage_name} of {turn.key} failed: {error}", exc_info=error.__cause__)
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
                f"{len(failed)} of {len(self._keys)} videos failed: {', '.join(one.key for one in failed)}",
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
