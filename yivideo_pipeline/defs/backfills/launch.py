"""Launches backfills that the UI shows as its own, and finds those that are not finished.

Dagster has no public way to launch one from a schedule or a command; this goes through names that it does
not promise to keep. `tests/defs/test_backfill_launch.py` says what must hold. The daemon takes a backfill up
within half a minute; as long as none runs it waits.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill

from yivideo_pipeline.defs.partitions import videos
from yivideo_pipeline.history.tags import TRIGGER_TAG
from yivideo_pipeline.stages import CODE_VERSIONS

PRIORITY = "-2"
"""Behind a person's own runs and behind the library watch."""
ORIGIN_TAG = "yivideo/backfill"
"""What launched it: a schedule's name, or `by-hand`. It is on each of its runs too."""
LONGEST_ID = 32
"""What Dagster's table has room for."""
_UNFINISHED = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]
_LIVE_S = 60
"""A daemon that was not heard of for so long does not run; it tells every half minute."""


@dataclass(frozen=True)
class Order:
    """One backfill to launch: some videos, and the stages that all of them need.

    Attributes:
        backfill_id: Decides whether it is the same one as another; at most 32 characters.
        origin: What launches it.
        trigger: `schedule` or `backfill`, for the tag that all runs have.
        keys: The videos.
        stages: The stages to make, all that lie after the first of them.
        title: What its page is headed with.
        description: What it is for.
    """

    backfill_id: str
    origin: str
    trigger: str
    keys: Sequence[str]
    stages: Sequence[str]
    title: str
    description: str


def launch(instance: dg.DagsterInstance, order: Order) -> bool:
    """Launch a backfill, unless there is one of that id already; returns whether it was launched.

    Two that try at the same time don't launch it twice either: the second fails by the id.
    """
    if instance.get_backfill(order.backfill_id) is not None:
        return False
    subset = videos.subset_with_partition_keys(order.keys)
    targets = AssetGraphSubset({dg.AssetKey(stage): subset for stage in order.stages})
    tags = {"dagster/priority": PRIORITY, ORIGIN_TAG: order.origin, TRIGGER_TAG: order.trigger}
    if order.trigger == "schedule":
        tags["dagster/schedule_name"] = order.origin
    instance.add_backfill(
        PartitionBackfill.from_asset_graph_subset(
            backfill_id=order.backfill_id,
            backfill_timestamp=time.time(),
            tags=tags,
            dynamic_partitions_store=instance,
            asset_graph_subset=targets,
            title=order.title,
            description=order.description,
            run_config=None,
        )
    )
    return True


def is_known(instance: dg.DagsterInstance, backfill_id: str) -> bool:
    """Tell whether there is or was a backfill of that id."""
    return instance.get_backfill(backfill_id) is not None


def unfinished_of_ours(instance: dg.DagsterInstance) -> list[str]:
    """Return the ids of backfills that `launch` launched and that are not at their end."""
    return [one.backfill_id for one in _unfinished(instance) if ORIGIN_TAG in one.tags]


def take_back_scheduled(instance: dg.DagsterInstance) -> int:
    """Take back what waits of the schedules' backfills; a run that has begun goes on to its end.

    The backfill then ends with these videos not made, and they are found again like all that are not.

    Returns:
        How many runs were taken out of the queue, and backfills that had no runs yet.
    """
    taken = 0
    for backfill in _unfinished(instance):
        if backfill.tags.get(TRIGGER_TAG) != "schedule" or ORIGIN_TAG not in backfill.tags:
            continue
        waiting = dg.RunsFilter(
            tags={"dagster/backfill": backfill.backfill_id}, statuses=[dg.DagsterRunStatus.QUEUED]
        )
        for run in instance.get_runs(waiting):
            instance.report_run_canceling(run, message="Taken back: backfills are paused")
            instance.report_run_canceled(run)
            taken += 1
        data = backfill.asset_backfill_data
        unbegun = data is not None and data.requested_subset.is_empty
        if unbegun and backfill.status == BulkActionStatus.REQUESTED:
            instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELING))
            taken += 1
    return taken


def videos_under_way(instance: dg.DagsterInstance) -> set[str]:
    """Return the videos that any unfinished backfill, also one of the UI, has still to do."""
    stages = {dg.AssetKey(stage) for stage in CODE_VERSIONS}
    keys: set[str] = set()
    for backfill in _unfinished(instance):
        if backfill.asset_backfill_data is None:  # of the job, not of the assets: it counts as a whole
            keys.update(backfill.partition_names or ())
            continue
        left = backfill.asset_backfill_data.get_targeted_partitions_without_materialization_status()
        for asset, subset in left.partitions_subsets_by_asset_key.items():
            if asset in stages:
                keys.update(subset.get_partition_keys())
    return keys


def daemon_runs(instance: dg.DagsterInstance) -> bool:
    """Tell whether a daemon that takes backfills up was heard of lately."""
    heard = instance.get_daemon_heartbeats().get("BACKFILL")
    return heard is not None and time.time() - heard.timestamp < _LIVE_S


def _unfinished(instance: dg.DagsterInstance) -> Sequence[PartitionBackfill]:
    return instance.get_backfills(filters=BulkActionsFilter(statuses=_UNFINISHED))
