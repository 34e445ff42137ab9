"""From chosen videos to the backfills that make them: one for each first stage, so mostly one.

Dagster puts videos into one run that follow each other in the order in which they were registered, at most
`runs.group_size` of them. So new videos, and all videos of a library, share runs well; single failed ones
among good ones get a run each, which costs loading the model again (a few seconds) and nothing else. With
their good neighbours the runs would be full, but make what nobody asked for.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from yivideo_pipeline.defs.backfills.launch import PlannedBackfill, is_known
from yivideo_pipeline.defs.backfills.selection import FIRST_STAGE, BackfillReason, Selection
from yivideo_pipeline.stages import stages_from

BY_HAND = "by-hand"
_SHOWN = 10


def plan_scheduled(selection: Selection, schedule: str, due: datetime) -> list[PlannedBackfill]:
    """Return the backfills of a schedule's tick; the same tick gives the same ids.

    Args:
        selection: The videos; those that begin with the same stage go into one backfill.
        schedule: Its name; ids and titles begin with the first word of it.
        due: When the tick was due.
    """
    name = schedule.partition("_")[0]
    stamp = f"{name}-{due:%Y%m%d-%H%M}"
    return _plan(selection, stamp, schedule, "schedule", name.capitalize())


def plan_by_hand(instance: dg.DagsterInstance, selection: Selection) -> list[PlannedBackfill]:
    """Return the backfills of a user's command.

    The ids come from the videos, and a number that is new: after an earlier backfill of the same videos has
    ended they may be launched again.
    """
    digest = hashlib.sha256("\n".join(video.key for video in selection.videos).encode()).hexdigest()[:8]
    number = 1
    while True:
        stamp = f"{BY_HAND}-{digest}" + (f"-{number}" if number > 1 else "")
        plan = _plan(selection, stamp, BY_HAND, "backfill", "By hand")
        if not any(is_known(instance, planned.backfill_id) for planned in plan):
            return plan
        number += 1


def describe_reasons(selection: Selection) -> str:
    """Return how many videos there are for which reason, such as `8 missing, 2 failed`."""
    counts = selection.reasons()
    return ", ".join(f"{counts[reason]} {reason}" for reason in BackfillReason if counts[reason])


def count_videos(number: int) -> str:
    """Return `1 video` or `5 videos`."""
    return "1 video" if number == 1 else f"{number} videos"


def _plan(selection: Selection, stamp: str, origin: str, trigger: str, heading: str) -> list[PlannedBackfill]:
    plan = []
    for start, keys in selection.by_start().items():
        part = Selection(tuple(video for video in selection.videos if video.start == start))
        plan.append(
            PlannedBackfill(
                backfill_id=stamp if start == FIRST_STAGE else f"{stamp}-{start}",
                origin=origin,
                trigger=trigger,
                keys=keys,
                stages=stages_from(start),
                title=f"{heading}: {describe_reasons(part)}",
                description=_describe(start, keys),
            )
        )
    return plan


def _describe(start: str, keys: Sequence[str]) -> str:
    names = ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")
    return f"{count_videos(len(keys))} from the stage {start} on: {names}"
