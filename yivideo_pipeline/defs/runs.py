"""The tags by which people find a run, and the machinery its worker."""

import dagster as dg

from yivideo_pipeline.defs.instance import WORKER_TAG
from yivideo_pipeline.defs.stage import Tools
from yivideo_pipeline.errors.tree import DeviceLost, YivideoError
from yivideo_pipeline.ledger.workers import worker_of_this_process
from yivideo_pipeline.stages import MODEL_TAG, STAGES, TRIGGER_TAG

# PART defs/selection.py: Which stages a run makes: all, those that somebody selected, or what is left of them for a retry.


def selected_stages(run: dg.DagsterRun) -> frozenset[str]:
    """Return the stages that a run makes."""
    stages = frozenset(STAGES)
    if run.asset_selection:  # `execute_in_process` notes an empty one for all
        stages &= {key.to_user_string() for key in run.asset_selection}
    if run.step_keys_to_execute is not None:  # a retry leaves out what its parent finished
        stages &= set(run.step_keys_to_execute)
    return stages


def is_first(run: dg.DagsterRun, stage: str) -> bool:
    """Tell whether a run makes nothing that this stage reads: it is where the run begins."""
    return not selected_stages(run).intersection(STAGES[stage].upstream)


def is_last(run: dg.DagsterRun, stage: str) -> bool:
    """Tell whether a run makes nothing that reads this stage: it is where the run ends."""
    return not any(stage in STAGES[other].upstream for other in selected_stages(run))


def root_of(run: dg.DagsterRun) -> str:
    """Return the id that a run shares with all that were launched to try it again."""
    return run.root_run_id or run.run_id


# PART defs/fresh_process.py: A run that only another process can finish: a process that lost its GPU does not get it back.
#
# Dagster retries a run whose process died, not one with a failed step, unless a tag asks for it. The
# retry begins with the failed stage, in a process of its own.

RETRY_TAG = "dagster/retry_on_asset_or_op_failure"
ASKED_TAG = ".dagster/yivideo-fresh-process"
"""Says that it was us who asked for the retry, not the person who launched the run."""


def retries_left(context: dg.AssetExecutionContext) -> int:
    """Return how often the daemon would start this run again, if its process died."""
    instance, run = context.instance, context.run
    if not instance.run_retries_enabled:
        return 0
    allowed = int(run.tags.get("dagster/max_retries", instance.run_retries_max_retries))
    tried = instance.get_runs_count(dg.RunsFilter(tags={"dagster/root_run_id": root_of(run)}))
    return max(0, allowed - tried)


def ask_for_fresh_process(context: dg.AssetExecutionContext, error: YivideoError) -> bool:
    """Have the run retried once its step has failed, if another process may help and retries are left."""
    if not isinstance(error, DeviceLost) or not retries_left(context):
        return False
    context.instance.add_run_tags(context.run_id, {RETRY_TAG: "true", ASKED_TAG: "true"})
    return True


def tags_at_start(run: dg.DagsterRun) -> dict[str, str]:
    """Return the tags that a retry needs: it has its parent's, but another failure needs no fresh process."""
    return {RETRY_TAG: "false", ASKED_TAG: "false"} if run.tags.get(ASKED_TAG) == "true" else {}


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
        MODEL_TAG: launch.speech.model_name or launch.settings.speech.options.model_name,
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
