"""What Dagster loads: the pipeline with this machine's settings."""

import dagster as dg

from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.settings.load import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    """Build the pipeline from the settings; no model is imported or loaded."""
    return build_definitions(build_resources(load_settings()))
