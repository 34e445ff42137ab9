"""Schedules that launch backfills; they are off until somebody switches them on in the UI."""

from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from yivideo_pipeline.defs.backfills.selection import Reason
from yivideo_pipeline.defs.backfills.tick import Tick
from yivideo_pipeline.defs.cache_keys import recipes
from yivideo_pipeline.defs.resources import Library, SpeechResource
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.stages import JOB

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
            return recipes(settings, speech.revision(settings.speech))

        # No run request, but a backfill that the tick launches by itself: what came of it is the reason.
        return dg.SkipReason(tick.launch(name, reasons, as_now if Reason.STALE in reasons else dict))

    return schedule
