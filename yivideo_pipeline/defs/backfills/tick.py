"""What a schedule's tick does: see whether it may work, choose the videos, launch, say so in one line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from zoneinfo import ZoneInfo

import dagster as dg

from yivideo_pipeline.defs.backfills.estimate import Estimator
from yivideo_pipeline.defs.backfills.launch import launch, unfinished_of_ours
from yivideo_pipeline.defs.backfills.orders import count_videos, say_reasons, scheduled_orders
from yivideo_pipeline.defs.backfills.selection import Reason, Selection, Wish, select
from yivideo_pipeline.defs.backfills.window import seconds_left
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.settings.model import Settings

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
        if mark := self.ledger.marks.get(PAUSED):
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
        estimator = Estimator(self.ledger.made, selection.registered, self.settings.speech)
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
