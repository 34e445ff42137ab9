from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.defs.pipeline import Pipeline
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.sections import RetrySettings
from yivideo_pipeline.stages import STAGES


@pytest.fixture
def pipeline(home: Path) -> Generator[Pipeline]:
    """A pipeline on a fake engine, with a home folder of its own."""
    yield from _run_pipeline(home)


@pytest.fixture(scope="module")
def shared_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pipeline]:
    """A pipeline that a module's tests share: they look at what it made, and change nothing."""
    yield from _run_pipeline(tmp_path_factory.mktemp("home"))


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> SecretStr | None:
    """The address of an empty PostgreSQL database; None: SQLite, in files of the home folder."""
    return request.getfixturevalue("postgres").make_database() if request.param == "postgres" else None


def _run_pipeline(home: Path) -> Generator[Pipeline]:
    settings = load_settings(environ={"YIVIDEO_HOME": str(home)})
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
