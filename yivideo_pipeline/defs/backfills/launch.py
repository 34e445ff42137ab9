"""Launches backfills that the UI shows as its own, and finds those that are not finished.

The daemon takes a backfill up within half a minute; as long as no daemon runs, the backfill waits.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from yivideo_pipeline.defs.dagster_internals import (
    add_backfill,
    cancel_unbegun,
    unfinished_backfills,
    videos_left,
)
from yivideo_pipeline.stages import AUTOMATIC_TAG, BACKFILL_TAG, PRIORITY_TAG, TRIGGER_TAG

PRIORITY = "-2"
"""Behind a user's own runs, and behind those of the library's sensor."""
ORIGIN_TAG = "yivideo/backfill"
"""What launched the backfill: a schedule's name, or `by-hand`. Each of its runs has the tag too."""
_LIVE_S = 60
"""A daemon without a heartbeat for so long does not run; it sends one every half minute."""


@dataclass(frozen=True)
class PlannedBackfill:
    """One backfill to launch: some videos, and the stages that all of them need.

    Attributes:
        backfill_id: Two of the same id are the same backfill; at most 32 characters.
        origin: What launches it.
        trigger: `schedule` or `backfill`, for the tag that all runs have.
        keys: The videos.
        stages: The stages to make.
        title: The heading of its page.
        description: What it is for.
    """

    backfill_id: str
    origin: str
    trigger: str
    keys: Sequence[str]
    stages: Sequence[str]
    title: str
    description: str


def launch(instance: dg.DagsterInstance, planned: PlannedBackfill) -> bool:
    """Launch a backfill, unless there is one of that id already; return whether it was launched.

    Two processes that try at the same time don't launch it twice either: the second fails by the id.
    """
    if is_known(instance, planned.backfill_id):
        return False
    tags = {
        PRIORITY_TAG: PRIORITY,
        AUTOMATIC_TAG: "true",
        ORIGIN_TAG: planned.origin,
        TRIGGER_TAG: planned.trigger,
    }
    if planned.trigger == "schedule":
        tags["dagster/schedule_name"] = planned.origin
    add_backfill(
        instance,
        planned.backfill_id,
        planned.keys,
        planned.stages,
        tags,
        planned.title,
        planned.description,
    )
    return True


def is_known(instance: dg.DagsterInstance, backfill_id: str) -> bool:
    """Return whether there is or was a backfill of that id."""
    return instance.get_backfill(backfill_id) is not None


def unfinished_of_ours(instance: dg.DagsterInstance) -> list[str]:
    """Return the ids of the backfills that `launch` launched and that are not at their end."""
    return [one.backfill_id for one in unfinished_backfills(instance) if ORIGIN_TAG in one.tags]


def withdraw_scheduled(instance: dg.DagsterInstance) -> int:
    """Cancel what waits of the schedules' backfills; a run that has begun goes on to its end.

    The backfill then ends without these videos, and the next selection finds them like all that are missing.

    Returns:
        How many runs were taken from the queue, and backfills canceled that had no runs yet.
    """
    withdrawn = 0
    for backfill in unfinished_backfills(instance):
        if backfill.tags.get(TRIGGER_TAG) != "schedule" or ORIGIN_TAG not in backfill.tags:
            continue
        waiting = dg.RunsFilter(
            tags={BACKFILL_TAG: backfill.backfill_id}, statuses=[dg.DagsterRunStatus.QUEUED]
        )
        for run in instance.get_runs(waiting):
            instance.report_run_canceling(run, message="Withdrawn: backfills are paused")
            instance.report_run_canceled(run)
            withdrawn += 1
        withdrawn += cancel_unbegun(instance, backfill)
    return withdrawn


def videos_under_way(instance: dg.DagsterInstance) -> set[str]:
    """Return the videos that any unfinished backfill, one of the UI too, has still to do."""
    return {key for backfill in unfinished_backfills(instance) for key in videos_left(backfill)}


def daemon_runs(instance: dg.DagsterInstance) -> bool:
    """Return whether a daemon that takes backfills up has sent a heartbeat lately."""
    heartbeat = instance.get_daemon_heartbeats().get("BACKFILL")
    return heartbeat is not None and time.time() - heartbeat.timestamp < _LIVE_S
