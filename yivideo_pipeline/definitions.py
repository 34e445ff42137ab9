"""What Dagster loads: the pipeline with this machine's settings."""

import dagster as dg

from yivideo_pipeline.machine.garbage import importing, search_garbage_seldom
from yivideo_pipeline.machine.heap import share_one_heap
from yivideo_pipeline.machine.openmp import let_waiting_threads_sleep


@dg.definitions
def defs() -> dg.Definitions:
    """Build the pipeline from the settings; no model is imported or loaded."""
    search_garbage_seldom()
    share_one_heap()
    let_waiting_threads_sleep()
    with importing():  # most of the time until a run begins
        from yivideo_pipeline.defs.composition import build_definitions
        from yivideo_pipeline.defs.resources import build_resources
        from yivideo_pipeline.settings.load import load_settings

        return build_definitions(build_resources(load_settings(), read_settings=load_settings))
