"""Which stages a run makes: all, those that somebody selected, or what is left of them for a retry."""

import dagster as dg

from yivideo_pipeline.stages import UPSTREAM


def selected_stages(run: dg.DagsterRun) -> frozenset[str]:
    """Return the stages that a run makes."""
    stages = frozenset(UPSTREAM)
    if run.asset_selection:  # `execute_in_process` notes an empty one for all
        stages &= {key.to_user_string() for key in run.asset_selection}
    if run.step_keys_to_execute is not None:  # a retry leaves out what its parent finished
        stages &= set(run.step_keys_to_execute)
    return stages


def is_first(run: dg.DagsterRun, stage: str) -> bool:
    """Tell whether a run makes nothing that this stage reads: it is where the run begins."""
    return not selected_stages(run).intersection(UPSTREAM[stage])


def is_last(run: dg.DagsterRun, stage: str) -> bool:
    """Tell whether a run makes nothing that reads this stage: it is where the run ends."""
    return not any(stage in UPSTREAM[other] for other in selected_stages(run))


def root_of(run: dg.DagsterRun) -> str:
    """Return the id that a run shares with all that were launched to try it again."""
    return run.root_run_id or run.run_id
