"""A tick of a schedule that launches backfills: whether it may, for which videos, and what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from hashlib import sha256
from zoneinfo import ZoneInfo

import dagster as dg

from yivideo_pipeline.defs.backfills.launch import PlannedBackfill, is_known, launch, unfinished_of_ours
from yivideo_pipeline.defs.backfills.plan import Estimator, describe_reasons, plan_scheduled
from yivideo_pipeline.defs.backfills.selection import (
    BackfillFilter,
    BackfillReason,
    Selection,
    select_videos,
)
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.sections import BackfillSettings, NoticeSettings, RunSettings

PAUSED = "backfills.paused"
"""The flag that is set while no schedule may launch anything."""


@dataclass(frozen=True)
class ScheduleTick:
    """One tick of a schedule.

    Attributes:
        backfills: The hours and their time zone.
        runs: How many videos share a run, and from how many on the user is asked.
        notices: Where the question is posted.
        speech: The options whose speed counts for the estimate.
        instance: Where the backfill is launched.
        ledger: Knows the pause, and the videos.
        library: Where the files are.
        due: When the tick was due: it decides the backfill's id.
        now: When it is evaluated, later than `due` where no daemon ran: it decides what may be done.
        is_dry: Whether it only says what it would do.
    """

    backfills: BackfillSettings
    runs: RunSettings
    notices: NoticeSettings
    speech: SpeechOptions
    instance: dg.DagsterInstance
    ledger: Ledger
    library: Library
    due: datetime
    now: datetime
    is_dry: bool = False

    def launch(
        self,
        schedule: str,
        reasons: frozenset[BackfillReason],
        keys_now: Callable[[], Mapping[str, tuple[str, ...]]] = dict,
    ) -> str:
        """Launch a backfill, if the tick may and there is something to do; return what came of it.

        Args:
            schedule: Its name; the backfill's id and title begin with the first word of it.
            reasons: For which videos are chosen.
            keys_now: Returns the cache keys that are up to date; called only where they matter.
        """
        if obstacle := self._obstacle():
            return obstacle
        selection = select_videos(
            self.instance, self.ledger, self.library, keys_now(), BackfillFilter(reasons)
        )
        if not selection.videos:
            wanted = " or ".join(sorted(reasons))
            return f"Nothing to do: none of {plural(len(selection.registered), 'video')} is {wanted}"
        if BackfillReason.STALE in reasons and len(selection.videos) > self.runs.ask_above:
            return self._ask(schedule, selection)
        chosen = self._fitting(selection)
        if not chosen.videos:
            return f"None of {plural(len(selection.videos), 'video')} fits into the hours that are left"
        return self._submit(schedule, chosen, waiting=len(selection.videos) - len(chosen.videos))

    def _obstacle(self) -> str | None:
        """Return why the schedule may launch nothing now."""
        if flag := self.ledger.flags.get(PAUSED):
            since = datetime.fromtimestamp(flag.since, self._zone)
            return f"Paused since {since:%Y-%m-%d %H:%M} by {flag.value}; `yivideo backfill --resume` ends it"
        if self._left_s() == 0.0:
            return f"Outside of the hours {self.backfills.window}"
        if unfinished := unfinished_of_ours(self.instance):
            return f"Backfill {unfinished[0]} is not finished yet"
        return None

    def _ask(self, schedule: str, selection: Selection) -> str:
        """Post the question whether so many videos are to be made again."""
        number = len(selection.videos)
        keys = "\n".join(video.key for video in selection.videos)
        notice = Notice(
            kind="asks",
            subject=f"{number} videos are stale: shall they be made again?",
            body=(
                "The code, the model or the options have changed since they were made.",
                f"That is more than runs.ask_above ({self.runs.ask_above}),"
                " so the schedule launches nothing.",
                "See what would be done: yivideo backfill --stale --dry-run",
                "Make them again: yivideo backfill --stale",
            ),
            fingerprint=f"{schedule}:{sha256(keys.encode()).hexdigest()[:12]}",
            severity=Severity.LOW,
            url=self.notices.ui_url,
        )
        self.ledger.outbox.post(notice, self.notices.repeat_after_h * 3600)
        return (
            f"{number} videos are stale, more than {self.runs.ask_above}: they are not made again without"
            " being asked for; `yivideo backfill --stale` launches it"
        )

    def _fitting(self, selection: Selection) -> Selection:
        left_s = self._left_s()
        if left_s is None:
            return selection
        estimator = Estimator(self.ledger.materializations, selection.registered, self.speech)
        # The first videos show how fast this machine is: as long as that is unknown, a group at a time.
        fitting = estimator.fit(selection, left_s, unknown=self.runs.group_size)
        return replace(selection, videos=tuple(fitting))

    def _submit(self, schedule: str, chosen: Selection, waiting: int) -> str:
        plan = plan_scheduled(chosen, schedule, self.due)
        launched = [planned.backfill_id for planned in plan if self._launch(planned)]
        if not launched:
            return f"Backfill {plan[0].backfill_id} was submitted before"
        done = "Dry run: it would submit" if self.is_dry else "Submitted"
        later = f"; {waiting} more don't fit into the hours that are left" if waiting else ""
        return (
            f"{done} backfill {' and '.join(launched)} of {plural(len(chosen.videos), 'video')}"
            f" ({describe_reasons(chosen)}){later}"
        )

    def _launch(self, planned: PlannedBackfill) -> bool:
        if self.is_dry:
            return not is_known(self.instance, planned.backfill_id)
        return launch(self.instance, planned)

    def _left_s(self) -> float | None:
        return seconds_left(self.backfills.hours, self.now.astimezone(self._zone))

    @property
    def _zone(self) -> tzinfo:
        zone = self.backfills.time_zone
        return ZoneInfo(zone) if zone else UTC


def seconds_left(hours: tuple[time, time] | None, now: datetime) -> float | None:
    """Return how much is left of the hours in which backfills may run; 0 outside, None without such hours.

    Args:
        hours: Begin and end; they go over midnight where the end is not after the begin.
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
