"""The tags by which people find a run, and the machinery its worker."""

import dagster as dg

from yivideo_pipeline.defs.fresh_process import tags_at_start
from yivideo_pipeline.defs.instance import WORKER_TAG
from yivideo_pipeline.defs.selection import is_first
from yivideo_pipeline.defs.stage import Tools
from yivideo_pipeline.history.tags import MODEL_TAG, TRIGGER_TAG
from yivideo_pipeline.ledger.workers import worker_of_this_process

VIDEO_TAG = "yivideo/video"
LANGUAGE_TAG = "yivideo/language"

_TRIGGERS = {
    "dagster/schedule_name": "schedule",
    "dagster/from_automation_condition": "automation",
    "dagster/sensor_name": "sensor",
    "dagster/backfill": "backfill",
}
"""By Dagster's own tags, for runs whose launch did not say; the first that is there."""


def tag_run(context: dg.AssetExecutionContext, tools: Tools) -> None:
    """Tag a run where it begins; its other stages find it done."""
    run, launch = context.run, tools.launch
    if not is_first(run, context.asset_key.to_user_string()):
        return
    tags = {
        WORKER_TAG: worker_of_this_process(),
        MODEL_TAG: launch.speech.model_name or launch.settings.speech.model_name,
        TRIGGER_TAG: trigger_of(run),
        **tags_at_start(run),
    }
    if context.has_partition_key:
        tags[VIDEO_TAG] = context.partition_key
    context.instance.add_run_tags(run.run_id, tags)


def tag_language(context: dg.AssetExecutionContext, language: str | None) -> None:
    """Tag the run of one video with the language that is spoken in it."""
    if language:
        context.instance.add_run_tags(context.run_id, {LANGUAGE_TAG: language})


def trigger_of(run: dg.DagsterRun) -> str:
    """Return who asked for a run."""
    by_dagster = (trigger for tag, trigger in _TRIGGERS.items() if tag in run.tags)
    return run.tags.get(TRIGGER_TAG) or next(by_dagster, "ui")
