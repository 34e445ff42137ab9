"""The schedules: two launch backfills, one makes the reports. All are off until a user switches them on."""

from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from yivideo_pipeline.defs.backfills.selection import BackfillReason
from yivideo_pipeline.defs.backfills.tick import ScheduleTick
from yivideo_pipeline.defs.cache_keys import current_keys
from yivideo_pipeline.defs.jobs import daily_report
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.defs.ticks import open_tick
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.settings.sections import BackfillSettings
from yivideo_pipeline.stages import JOB

NIGHTLY, WEEKLY = "nightly_missing_or_failed", "weekly_stale"
EVERY_MORNING = "0 7 * * *"


def build_schedules(backfills: BackfillSettings) -> list[dg.ScheduleDefinition]:
    """Build the schedules.

    Args:
        backfills: When they are due, and in which time zone.
    """
    return [
        _build_backfill_schedule(
            NIGHTLY,
            backfills.nightly,
            backfills.time_zone,
            "Launches a backfill of the videos that have no subtitles yet, or failed at the last attempt",
            frozenset({BackfillReason.MISSING, BackfillReason.FAILED}),
        ),
        _build_backfill_schedule(
            WEEKLY,
            backfills.weekly,
            backfills.time_zone,
            "Launches a backfill of the videos that were made by other code, another model or other options",
            frozenset({BackfillReason.STALE}),
        ),
        dg.ScheduleDefinition(
            name=daily_report.name,
            job=daily_report,
            cron_schedule=EVERY_MORNING,
            execution_timezone=backfills.time_zone or "UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Makes the library report and the performance report every morning",
        ),
    ]


def _build_backfill_schedule(
    name: str, cron: str, time_zone: str | None, description: str, reasons: frozenset[BackfillReason]
) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=name,
        job_name=JOB,
        cron_schedule=cron,
        execution_timezone=time_zone or "UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=description,
    )
    def schedule(
        context: dg.ScheduleEvaluationContext,
        launch: Launch,
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.SkipReason:
        tick = open_tick(context, launch, ledger)
        if isinstance(tick, dg.SkipReason):
            return tick
        settings, options = tick.settings, tick.settings.speech.options
        night = ScheduleTick(
            settings.backfills,
            settings.runs,
            settings.notices,
            launch.chosen(options),
            context.instance,
            tick.ledger,
            Library(settings.library.roots),
            due=context.scheduled_execution_time,
            now=datetime.now(UTC),
            is_dry=tick.is_dry,
        )

        def keys_now() -> Mapping[str, tuple[str, ...]]:
            return current_keys(options, settings.subtitles, launch.models.revision(options))

        # No run request, but a backfill that the tick launches by itself: the reason says what came of it.
        return dg.SkipReason(
            night.launch(name, reasons, keys_now if BackfillReason.STALE in reasons else dict)
        )

    return schedule
