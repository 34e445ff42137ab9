"""What every test stands on: a clean environment, folders of its own, weights joined once.

Nothing a person has set may change what a test sees. So the settings are dropped here, before any
library reads them at import, and again around each test.
"""

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

from yivideo_pipeline.machine.garbage import search_garbage_seldom

if TYPE_CHECKING:
    from alembic.script import Script, ScriptDirectory
    from playwright.sync_api import Browser

    from tests.object_storage import Bucket, ObjectStorage
    from tests.postgres import PostgresServer
    from yivideo_pipeline.speech.weights import Weights

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ("YIVIDEO_", "HF_", "WHISPERX_", "TRANSFORMERS_", "DAGSTER_")
CORPUS_VARIABLE = "YIVIDEO_SPEECH_CORPUS"
CORPUS = os.environ.get(CORPUS_VARIABLE)

for name in [name for name in os.environ if name.startswith(SETTINGS) and name != CORPUS_VARIABLE]:
    del os.environ[name]  # the corpus stays named for pytest-xdist's workers

search_garbage_seldom()  # as the command does

# Where more threads than cores are at work, OpenMP's threads would wait for each other at full load: a
# transcription by two threads takes five times the processor time.
os.environ["OMP_WAIT_POLICY"] = "passive"

hypothesis_settings.register_profile("no deadline", deadline=None)  # on a busy machine all takes longer
hypothesis_settings.load_profile("no deadline")

# Each process that a test starts would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell starts what it puts into the background deaf to Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Keep what lives to the end out of every search for garbage: tests and libraries are imported by now."""
    if alembic := sys.modules.get("alembic.script"):
        _read_migrations_once(alembic.ScriptDirectory)
    gc.collect()
    gc.freeze()


def _read_migrations_once(directory: "type[ScriptDirectory]") -> None:
    """Keep the migrations in memory: Dagster reads all of its own twice or more for each new instance."""
    read, kept = directory._load_revisions, {}

    def load(self: "ScriptDirectory") -> "Iterator[Script]":
        if self.dir not in kept:
            kept[self.dir] = list(read(self))
        return iter(kept[self.dir])

    directory._load_revisions = load  # ty: ignore[invalid-assignment]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs the speech corpus or WhisperX where they are not."""
    if item.get_closest_marker("corpus") and not CORPUS:
        pytest.skip("YIVIDEO_SPEECH_CORPUS names no folder with the speech corpus")
    if item.get_closest_marker("whisperx") and find_spec("whisperx") is None:
        pytest.skip("needs WhisperX: make test-whisperx")


@pytest.fixture(autouse=True)
def _clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Generator[None]:
    monkeypatch.delenv(CORPUS_VARIABLE, raising=False)
    _drop_settings()
    user = tmp_path_factory.getbasetemp() / "user"
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(user / name.lower()))
    yield
    _drop_settings()


def _drop_settings() -> None:
    """Drop what the program hands to libraries: the next fixtures and tests would inherit it."""
    for name in [name for name in os.environ if name.startswith(SETTINGS) and name != CORPUS_VARIABLE]:
        del os.environ[name]
    if constants := sys.modules.get("huggingface_hub.constants"):  # as `apply_environment` leaves it
        constants.__dict__["HF_HUB_OFFLINE"] = False


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that YIVIDEO_HOME names."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("YIVIDEO_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Folder of the speech corpus with its `manifest.json`; mark the test `corpus` too."""
    if not CORPUS:
        pytest.skip("YIVIDEO_SPEECH_CORPUS names no folder with the speech corpus")
    return Path(CORPUS).resolve()


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where joined weights are kept: the checkout's own cache where there is one."""
    kept = ROOT / "data" / "models"
    return kept if kept.is_dir() else tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def base_weights(model_dir: Path) -> "Weights":
    """Whisper base, multilingual."""
    from yivideo_pipeline.speech.weights import find_weights

    return find_weights("base", model_dir)


@pytest.fixture(scope="session")
def tiny_weights(model_dir: Path) -> "Weights":
    """Whisper tiny.en."""
    from yivideo_pipeline.speech.weights import find_weights

    return find_weights("tiny.en", model_dir)


@pytest.fixture(scope="module")
def browser() -> Generator["Browser"]:
    """Chromium, for a module with the marks `NEEDS_CHROMIUM`.

    Not of the whole session: while Playwright runs, no other test of the process can use asyncio.run.
    """
    from tests.browser import run_chromium

    with run_chromium() as chromium:
        yield chromium


@pytest.fixture(scope="session")
def postgres() -> Generator["PostgresServer"]:
    """A PostgreSQL server of its own; without Debian's postgresql the test is skipped."""
    from tests.postgres import run_postgres

    with run_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def object_storage() -> Generator["ObjectStorage"]:
    """An S3 server on a socket of its own."""
    pytest.importorskip("moto", reason="the S3 server of the tests is not installed: make install")
    from tests.object_storage import run_object_storage

    with run_object_storage() as storage:
        yield storage


@pytest.fixture
def bucket(object_storage: "ObjectStorage") -> Generator["Bucket"]:
    """An empty bucket that this process finds by the environment."""
    from tests.object_storage import make_bucket

    with make_bucket(object_storage) as made:
        yield made
