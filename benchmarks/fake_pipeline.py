"""What Dagster loads for `benchmarks.day`: the pipeline with the tests' stand-in for the models."""

import dagster as dg

from tests.fake_speech import FakeSpeech
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.settings.load import load_settings


@dg.definitions
def defs() -> dg.Definitions:
    """Build the pipeline from the settings; its words are made up at once."""
    return build_definitions(build_resources(load_settings(), FakeSpeech(), read_settings=load_settings))
