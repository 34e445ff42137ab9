from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.defs.pipeline import Pipeline
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.sections import RetrySettings
from yivideo_pipeline.stages import STAGES


@pytest.fixture
def pipeline(home):
    settings = load_settings()
    retry = RetrySettings(max_attempts=3, base_delay_s=0, jitter=0)
    pipeline = Pipeline(settings.model_copy(update={"retry": retry}))
    yield pipeline
    pipeline.instance.dispose()


@pytest.fixture
def raise_version(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Raise a stage's code version, as a change of its code does."""

    def change(stage: str) -> None:
        monkeypatch.setitem(STAGES, stage, replace(STAGES[stage], code_version="next"))

    return change
