"""What Dagster knows of all videos, by a few queries over all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from yivideo_pipeline.defs.backfills.attempts import open_attempts
from yivideo_pipeline.defs.backfills.launch import videos_under_way
from yivideo_pipeline.stages import CODE_VERSIONS, VIDEOS

LAST_STAGE = list(CODE_VERSIONS)[-1]
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class State:
    """Videos by what Dagster says of them.

    Attributes:
        registered: All partitions, in the order in which they came.
        made: Those whose subtitles were made at some time.
        failed: Those of which a stage failed when it was tried last. The UI counts the same ones.
        under_way: Those that a run or an unfinished backfill has still to do.
    """

    registered: Sequence[str]
    made: set[str]
    failed: set[str]
    under_way: set[str]


def read_state(instance: dg.DagsterInstance) -> State:
    """Read the state of all videos; the number of queries does not grow with them."""
    unfinished = set(instance.get_run_ids(dg.RunsFilter(statuses=_UNFINISHED)))
    went_wrong = set(instance.get_run_ids(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])))
    failed: set[str] = set()
    under_way = videos_under_way(instance)
    for key, run_id in open_attempts(instance, CODE_VERSIONS):
        if run_id in unfinished:
            under_way.add(key)
        elif run_id in went_wrong:
            failed.add(key)
    return State(
        registered=instance.get_dynamic_partitions(VIDEOS),
        made=instance.get_materialized_partitions(dg.AssetKey(LAST_STAGE)),
        failed=failed,
        under_way=under_way,
    )
