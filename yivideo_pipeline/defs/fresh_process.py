"""A run that only another process can finish: a process that lost its GPU does not get it back.

Dagster retries a run whose process died, not one with a failed step, unless a tag asks for it. The
retry begins with the failed stage, in a process of its own.
"""

import dagster as dg

from yivideo_pipeline.defs.selection import root_of
from yivideo_pipeline.errors.tree import DeviceLost, YivideoError

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
