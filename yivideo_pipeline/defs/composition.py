"""The pipeline put together: assets, jobs, schedules, sensors, around their resources."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.assets import build_assets
from yivideo_pipeline.defs.automation import attach_condition, build_automation_sensor, build_condition
from yivideo_pipeline.defs.jobs import daily_report, process_video
from yivideo_pipeline.defs.reports.assets import build_report_assets
from yivideo_pipeline.defs.schedules import build_schedules
from yivideo_pipeline.defs.sensors.clean_up import build_clean_up_sensor
from yivideo_pipeline.defs.sensors.lost_runs import build_lost_run_sensor
from yivideo_pipeline.defs.sensors.new_videos import build_watch_sensor
from yivideo_pipeline.defs.sensors.notices import build_notice_sensors


def build_definitions(resources: Mapping[str, Any]) -> dg.Definitions:
    """Build the definitions around resources, as `defs.resources.build_resources` makes them.

    All steps of a run share one process, whether a job or the assets themselves are launched.
    """
    settings = resources["launch"].settings
    condition = build_condition(resources["launch"], resources["ledger"])
    stages = [
        attach_condition(asset, condition)
        for asset in build_assets(settings.checks, settings.runs.group_size)
    ]
    return dg.Definitions(
        assets=[
            *stages,
            *build_report_assets(settings.home, settings.backfills.time_zone, settings.notices.ui_url),
        ],
        jobs=[process_video, daily_report],
        schedules=build_schedules(settings.backfills),
        sensors=[
            build_watch_sensor(settings.library.poll_s),
            build_automation_sensor(),
            build_lost_run_sensor(),
            build_clean_up_sensor(),
            *build_notice_sensors(settings.notices),
        ],
        resources={name: _strict(resource) for name, resource in resources.items()},
        executor=dg.in_process_executor,
    )


def _strict(resource: Any) -> Any:
    """Return a resource that takes no configuration but its own; of a plain object Dagster takes any."""
    if isinstance(resource, dg.ConfigurableResource):
        return resource
    return dg.ResourceDefinition(lambda _context: resource, config_schema={})
