"""Reports as assets: how the library stands, and how fast it is made.

They stand beside the pipeline, in a group of their own: nothing launches them but a person or the daily
schedule, and they are in no job of a video. That they come after the subtitles is for the lineage alone.
"""

import dagster as dg

from yivideo_pipeline.defs.reports.library import library_report_of
from yivideo_pipeline.defs.reports.performance import GROUP, performance_report_of
from yivideo_pipeline.settings.model import Settings

JOB = "daily_report"
EVERY_MORNING = "0 7 * * *"


def build_report_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the reports, for this process's settings."""
    return [library_report_of(settings), performance_report_of(settings)]


def build_report_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Return the schedule of the reports, with its job; it is off until somebody switches it on."""
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.groups(GROUP),
        description="What was done since yesterday, and how the library stands",
        executor_def=dg.in_process_executor,
    )
    return [
        dg.ScheduleDefinition(
            name=JOB,
            job=job,
            cron_schedule=EVERY_MORNING,
            execution_timezone=settings.backfills.time_zone or "UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description="Every morning: the library's digest and the performance report",
        )
    ]
