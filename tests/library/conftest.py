from pathlib import Path
from shutil import copyfile

import pytest

from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.database import open_database
from yivideo_pipeline.library.decisions import Policy
from yivideo_pipeline.library.outcome import Explanation, ScanResult
from yivideo_pipeline.library.scan import Listing
from yivideo_pipeline.library.watch import Watch, open_watch
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import override
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.storage.artifacts import Storage

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "harbour-15s.mp4"
SETTLE_S = 5.0


class WatchedLibrary:
    """A library of real files, a watch on it, and a clock that only the test moves."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = Ledger(open_database(settings.home))
        self.files = self.ledger.files
        self.failures = self.ledger.failures
        self.storage = Storage(settings.storage.root)
        self.now = 1_000_000.0
        self.inbox.mkdir(parents=True, exist_ok=True)

    @property
    def inbox(self) -> Path:
        return next(iter(self.settings.library.folders.values()))

    @property
    def watch(self) -> Watch:
        # A new one each time, as after a restart: it may remember nothing by itself.
        return open_watch(self.settings, self.ledger, self.storage)

    def watch_by(self, listing: Listing) -> Watch:
        """Return a watch that sees the inbox by another listing."""
        policy = Policy(self.settings.library, "auto")
        return Watch(policy, self.files, self.failures, self.storage, listings={"inbox": listing})

    def set(self, **library) -> None:
        changed = self.settings.library.model_copy(update=library)
        self.settings = self.settings.model_copy(update={"library": changed})

    def speak(self, language: str) -> None:
        speech = self.settings.speech
        options = override(speech.options, {"language": language})
        changed = speech.model_copy(update={"options": options})
        self.settings = self.settings.model_copy(update={"speech": changed})

    def add(self, name: str, source: Path = SAMPLE) -> Path:
        target = self.inbox / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copyfile(source, target)
        return target

    def scan(self, after_s: float = 0.0, limit: int = 50) -> ScanResult:
        self.now += after_s
        return self.watch.scan(self.now, limit)

    def settle(self, limit: int = 50) -> ScanResult:
        """Scan twice, as far apart as it takes a file to settle."""
        self.scan(1)
        return self.scan(SETTLE_S, limit)

    def take(self, result: ScanResult) -> list[str]:
        """Take the files that a scan returned; returns their keys."""
        self.watch.note_taken({item.key: item.stamp for item in result.take})
        return [item.key for item in result.take]

    def explain(self, name: str) -> Explanation:
        return self.watch.explain(self.inbox / name, self.now)


@pytest.fixture
def library(home):
    return WatchedLibrary(load_settings())
