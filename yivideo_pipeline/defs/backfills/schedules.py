"""Schedules that launch backfills; they are off until somebody switches them on in the UI."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from hashlib import sha256
from zoneinfo import ZoneInfo

import dagster as dg

from yivideo_pipeline.defs.backfills.estimate import Estimator
from yivideo_pipeline.defs.backfills.selection import FIRST_STAGE, Reason, Selection, Wish, select
from yivideo_pipeline.defs.cache_keys import recipes
from yivideo_pipeline.defs.dagster_internals import Order, is_known, launch, unfinished_of_ours
from yivideo_pipeline.defs.resources import Library, SpeechResource
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.stages import JOB, stages_from

# PART defs/backfills/window.py: The hours in which scheduled backfills may work.


def seconds_left(hours: tuple[time, time] | None, now: datetime) -> float | None:
    """Return how much is left of the window at this moment; 0 outside of it, None where there is none.

    Args:
        hours: Begin and end; it goes over midnight where the end is not after the begin.
        now: With the time zone that the hours are meant in.
    """
    if hours is None:
        return None
    begin, end = hours
    for first_day in (now.date(), now.date() - timedelta(days=1)):
        opens = datetime.combine(first_day, begin, now.tzinfo)
        last_day = first_day if end > begin else first_day + timedelta(days=1)
        closes = datetime.combine(last_day, end, now.tzinfo)
        if opens <= now < closes:
            # By Unix time: a night in which the clocks change is an hour shorter or longer.
            return closes.timestamp() - now.timestamp()
    return 0.0


# PART defs/backfills/orders.py: From chosen videos to the backfills that make them: one for each first stage, so mostly one.
#
# Dagster puts videos into one run that follow each other in the order in which they were registered, at most
# `runs.group_size` of them. So new videos, and all of a library, share runs well; single failed ones among
# good ones get a run each, which costs loading the model again (a few seconds) and nothing else. Taking the
# good neighbours along would fill the runs up, but make what nobody asked for.

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
                backfill_id=stamp if start == FIRST_STAGE else f"{stamp}-{start}",
                origin=origin,
                trigger=trigger,
                keys=keys,
                stages=stages_from(start),
                title=f"{heading}: {say_reasons(part)}",
                description=_describe(start, keys),
            )
        )
    return orders


def _describe(start: str, keys: Sequence[str]) -> str:
    names = ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")
    return f"{count_videos(len(keys))} from the stage {start} on: {names}"


# PART defs/backfills/tick.py: What a schedule's tick does: see whether it may work, choose the videos, launch, say so in one line.

PAUSED = "backfills.paused"
"""The mark that is set while no schedule may launch anything."""


@dataclass(frozen=True)
class Tick:
    """One tick of a schedule.

    Attributes:
        settings: The process's settings.
        instance: Where the backfill is launched.
        ledger: Knows the pause, and the videos.
        library: Where the files are.
        due: When the tick was due: it decides the backfill's id.
        now: When it is evaluated, which is later where no daemon ran: it decides what may be done.
    """

    settings: Settings
    instance: dg.DagsterInstance
    ledger: Ledger
    library: Library
    due: datetime
    now: datetime

    def launch(
        self,
        schedule: str,
        reasons: frozenset[Reason],
        recipes: Callable[[], Mapping[str, str]] = dict,
    ) -> str:
        """Launch what the schedule is for, if it may and there is something; returns what came of it.

        Args:
            schedule: Its name; the backfill's id and title begin with the first word of it.
            reasons: For which videos are chosen.
            recipes: Of the stages as the settings are now; asked only where it matters.
        """
        if reason := self._may_not_work():
            return reason
        wish = Wish(reasons)
        selection = select(self.instance, self.ledger, self.library, recipes(), wish)
        if not selection.videos:
            wanted = " or ".join(sorted(reasons))
            return f"Nothing to do: none of {count_videos(len(selection.registered))} is {wanted}"
        if Reason.STALE in reasons and len(selection.videos) > self.settings.runs.ask_above:
            return self._ask(schedule, selection)
        chosen = self._fitting(selection)
        if not chosen.videos:
            return (
                f"None of {count_videos(len(selection.videos))} would be done within the hours that are left"
            )
        return self._submit(schedule, chosen, waiting=len(selection.videos) - len(chosen.videos))

    def _may_not_work(self) -> str | None:
        if mark := self.ledger.flags.get(PAUSED):
            since = datetime.fromtimestamp(mark.since, self._zone)
            return f"Paused since {since:%Y-%m-%d %H:%M} by {mark.value}; `yivideo backfill --resume` ends it"
        if self._left_s() == 0.0:
            return f"Outside of the hours {self.settings.backfills.window}"
        if unfinished := unfinished_of_ours(self.instance):
            return f"Backfill {unfinished[0]} is not finished yet"
        return None

    def _ask(self, schedule: str, selection: Selection) -> str:
        """Tell people that much would be made again, which nothing does by itself."""
        number = len(selection.videos)
        subject = f"{number} videos are stale: shall they be made again?"
        keys = "\n".join(video.key for video in selection.videos)
        notice = Notice(
            kind="asks",
            subject=subject,
            body=(
                "The code, the model or the options have changed since they were made.",
                f"That is more than runs.ask_above ({self.settings.runs.ask_above}),"
                " so the schedule launches nothing.",
                "See what would be done: yivideo backfill --stale --dry-run",
                "Make them again: yivideo backfill --stale",
            ),
            fingerprint=f"{schedule}:{sha256(keys.encode()).hexdigest()[:12]}",
            severity=Severity.LOW,
            url=self.settings.notices.ui_url,
        )
        self.ledger.outbox.post(notice, self.settings.notices.repeat_after_h * 3600)
        return (
            f"{number} videos are stale, more than {self.settings.runs.ask_above}: not launched without being"
            " asked for; `yivideo backfill --stale` launches it"
        )

    def _fitting(self, selection: Selection) -> Selection:
        left_s = self._left_s()
        if left_s is None:
            return selection
        estimator = Estimator(self.ledger.materializations, selection.registered, self.settings.speech.options)
        # The first videos show how fast this machine is: as long as that is unknown, a group at a time.
        fitting = estimator.fit(selection, left_s, unknown=self.settings.runs.group_size)
        return replace(selection, videos=tuple(fitting))

    def _submit(self, schedule: str, chosen: Selection, waiting: int) -> str:
        orders = scheduled_orders(chosen, schedule, self.due)
        launched = [order.backfill_id for order in orders if launch(self.instance, order)]
        if not launched:
            return f"Backfill {orders[0].backfill_id} was submitted before"
        later = f"; {waiting} more don't fit into the hours that are left" if waiting else ""
        names = " and ".join(launched)
        return (
            f"Submitted backfill {names} of {count_videos(len(chosen.videos))} ({say_reasons(chosen)}){later}"
        )

    def _left_s(self) -> float | None:
        return seconds_left(self.settings.backfills.hours, self.now.astimezone(self._zone))

    @property
    def _zone(self) -> tzinfo:
        zone = self.settings.backfills.time_zone
        return ZoneInfo(zone) if zone else UTC


NIGHTLY, WEEKLY = "nightly_missing_or_failed", "weekly_stale"


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Make both schedules, for the times that the settings say."""
    return [
        _schedule(
            settings,
            NIGHTLY,
            settings.backfills.nightly,
            "Launches a backfill of the videos that have no subtitles yet or failed when last tried",
            frozenset({Reason.MISSING, Reason.FAILED}),
        ),
        _schedule(
            settings,
            WEEKLY,
            settings.backfills.weekly,
            "Launches a backfill of the videos that today's code, model or options would make otherwise",
            frozenset({Reason.STALE}),
        ),
    ]


def _schedule(
    settings: Settings, name: str, cron: str, description: str, reasons: frozenset[Reason]
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job_name=JOB,
        cron_schedule=cron,
        execution_timezone=settings.backfills.time_zone or "UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=description,
    )
    def schedule(
        context: dg.ScheduleEvaluationContext,
        ledger: dg.ResourceParam[Ledger],
        library: dg.ResourceParam[Library],
        speech: dg.ResourceParam[SpeechResource],
    ) -> dg.SkipReason:
        tick = Tick(
            settings, context.instance, ledger, library, context.scheduled_execution_time, datetime.now(UTC)
        )

        def as_now() -> Mapping[str, str]:
            return recipes(settings, speech.revision(settings.speech.options))

        # No run request, but a backfill that the tick launches by itself: what came of it is the reason.
        return dg.SkipReason(tick.launch(name, reasons, as_now if Reason.STALE in reasons else dict))

    return schedule
