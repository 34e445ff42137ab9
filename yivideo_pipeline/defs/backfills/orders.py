"""From chosen videos to the backfills that make them: one for each first stage, so mostly one.

Dagster puts videos into one run that follow each other in the order in which they were registered, at most
`runs.group_size` of them. So new videos, and all of a library, share runs well; single failed ones among
good ones get a run each, which costs loading the model again (a few seconds) and nothing else. Taking the
good neighbours along would fill the runs up, but make what nobody asked for.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from yivideo_pipeline.defs.backfills.launch import Order, is_known
from yivideo_pipeline.defs.backfills.selection import STAGES, Reason, Selection

BY_HAND = "by-hand"
_SHOWN = 10


def scheduled_orders(selection: Selection, schedule: str, due: datetime) -> list[Order]:
    """Return what a schedule's tick launches; the same tick gives the same ids.

    Args:
        selection: The videos; those that begin with the same stage go into one backfill.
        schedule: Its name; ids and titles begin with the first word of it.
        due: When the tick was due.
    """
    name = schedule.partition("_")[0]
    stamp = f"{name}-{due:%Y%m%d-%H%M}"
    return _orders(selection, stamp, schedule, "schedule", name.capitalize())


def orders_by_hand(instance: dg.DagsterInstance, selection: Selection) -> list[Order]:
    """Return what a person launches.

    The ids come from the videos, and a number that is new: after an earlier backfill of the same videos has
    come to its end they may be launched again.
    """
    digest = hashlib.sha256("\n".join(video.key for video in selection.videos).encode()).hexdigest()[:8]
    number = 1
    while True:
        stamp = f"{BY_HAND}-{digest}" + (f"-{number}" if number > 1 else "")
        orders = _orders(selection, stamp, BY_HAND, "backfill", "By hand")
        if not any(is_known(instance, order.backfill_id) for order in orders):
            return orders
        number += 1


def say_reasons(selection: Selection) -> str:
    """Write how many videos there are for which reason, such as `8 missing, 2 failed`."""
    counts = selection.reasons()
    return ", ".join(f"{counts[reason]} {reason}" for reason in Reason if counts[reason])


def count_videos(number: int) -> str:
    """Write `1 video` or `5 videos`."""
    return "1 video" if number == 1 else f"{number} videos"


def _orders(selection: Selection, stamp: str, origin: str, trigger: str, heading: str) -> list[Order]:
    starts = selection.by_start()
    orders = []
    for start, keys in starts.items():
        part = Selection(tuple(video for video in selection.videos if video.start == start))
        orders.append(
            Order(
                backfill_id=stamp if start == STAGES[0] else f"{stamp}-{start}",
                origin=origin,
                trigger=trigger,
                keys=keys,
                stages=STAGES[STAGES.index(start) :],
                title=f"{heading}: {say_reasons(part)}",
                description=_describe(start, keys),
            )
        )
    return orders


def _describe(start: str, keys: Sequence[str]) -> str:
    names = ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")
    return f"{count_videos(len(keys))} from the stage {start} on: {names}"
