from pathlib import Path
from shutil import copyfile

import pytest

from yivideo_pipeline.ledger.database import open_ledger
from yivideo_pipeline.ledger.failures import FailureLedger
from yivideo_pipeline.ledger.files import FileLedger
from yivideo_pipeline.library.outcome import Explanation, ScanResult
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.storage.artifacts import Storage

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "harbour-15s.mp4"
SETTLE_S = 5.0


class Shelf:
    """A library of real files, a watch on it, and a clock that only the test moves."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        engine = open_ledger(settings.home)
        self.files = FileLedger(engine)
        self.failures = FailureLedger(engine)
        self.storage = Storage(settings.storage.root)
        self.now = 1_000_000.0
        self.inbox.mkdir(parents=True, exist_ok=True)

    @property
    def inbox(self) -> Path:
        return next(iter(self.settings.library.roots.values()))

    @property
    def watch(self) -> Watch:
        # Another one each time, as after a restart: it may remember nothing by itself.
        return Watch(self.settings, self.files, self.failures, self.storage)

    def set(self, **library) -> None:
        changed = self.settings.library.model_copy(update=library)
        self.settings = self.settings.model_copy(update={"library": changed})

    def speak(self, language: str) -> None:
        options = self.settings.speech.options.model_copy(update={"language": language})
        speech = self.settings.speech.model_copy(update={"options": options})
        self.settings = self.settings.model_copy(update={"speech": speech})

    def add(self, name: str, source: Path = SAMPLE) -> Path:
        target = self.inbox / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copyfile(source, target)
        return target

    def look(self, after_s: float = 0.0, limit: int = 50) -> ScanResult:
        self.now += after_s
        return self.watch.look(self.now, limit)

    def settle(self, limit: int = 50) -> ScanResult:
        """Look twice, as far apart as it takes a file to settle."""
        self.look(1)
        return self.look(SETTLE_S, limit)

    def take(self, look: ScanResult) -> list[str]:
        """Take what a look hands out; returns the keys."""
        self.watch.note_taken({item.key: item.stamp for item in look.take})
        return [item.key for item in look.take]

    def why(self, name: str) -> Explanation:
        return self.watch.why(self.inbox / name, self.now)


@pytest.fixture
def shelf(home):
    return Shelf(load_settings())
