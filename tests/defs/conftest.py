import pytest
from bench import Bench

from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.model import RetrySettings


@pytest.fixture
def bench(home):
    settings = load_settings()
    retry = RetrySettings(max_attempts=3, base_delay_s=0, jitter=0)
    bench = Bench(settings.model_copy(update={"retry": retry}))
    yield bench
    bench.instance.dispose()
