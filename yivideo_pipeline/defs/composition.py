"""The pipeline put together: assets, job, resources."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.assets import build_assets
from yivideo_pipeline.defs.automation import attach_condition, build_automation_sensor
from yivideo_pipeline.defs.backfills.schedules import build_schedules
from yivideo_pipeline.defs.reports.assets import build_report_assets, build_report_schedules
from yivideo_pipeline.defs.sensors.new_videos import build_watch_sensor
from yivideo_pipeline.defs.sensors.notices import build_notice_sensors
from yivideo_pipeline.stages import JOB


def build_definitions(resources: Mapping[str, Any]) -> dg.Definitions:
    """Put the pipeline together around its resources.

    All steps of a run share one process, whether a job or the assets themselves are launched: the
    transcript's model is still loaded when the alignment asks for it.
    """
    settings = resources["launch"].settings
    stages = [attach_condition(stage, settings, resources["ledger"]) for stage in build_assets(settings)]
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*stages),
        description="From a video file to word-aligned subtitles, for one video (partition)",
        executor_def=dg.in_process_executor,
    )
    return dg.Definitions(
        assets=[*stages, *build_report_assets(settings)],
        jobs=[job],
        schedules=[*build_schedules(settings), *build_report_schedules(settings)],
        sensors=[build_watch_sensor(settings), build_automation_sensor(), *build_notice_sensors(settings)],
        resources=resources,
        executor=dg.in_process_executor,
    )
