"""What an interruption of a run means: in a terminal, Ctrl-C cancels it.

In a run of the services it means that they are being stopped: Dagster counts the run as failed then, and
retries it when they are back.
"""

import dagster as dg

from yivideo_pipeline.stages import TRIGGER_TAG


def cancel_users_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Mark an interrupted run as one that a user cancels, where a command executes it."""
    run = instance.get_run_by_id(run_id)
    if run and run.tags.get(TRIGGER_TAG) == "cli" and run.status == dg.DagsterRunStatus.STARTED:
        instance.report_run_canceling(run)
