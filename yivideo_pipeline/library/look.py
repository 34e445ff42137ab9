"""What a look at the library came to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yivideo_pipeline.ledger.failures import Quarantined
from yivideo_pipeline.ledger.files import FileRecord, Stamp
from yivideo_pipeline.library.decision import Action, Decision, Why


@dataclass(frozen=True)
class Item:
    """A file that something is to be done with."""

    key: str
    root: str
    path: Path
    stamp: Stamp
    decision: Decision

    @property
    def run_key(self) -> str:
        """Names this state of this file: the same is never to be submitted twice."""
        return f"{self.key}@{self.stamp.size_bytes}-{self.stamp.mtime_ns}"


@dataclass(frozen=True)
class Alert:
    """Something that keeps the watch from seeing videos that it knows, or a whole root."""

    root: str
    decision: Decision
    videos: int

    def __str__(self) -> str:
        hidden = f"; {self.videos} known videos can't be seen" if self.videos else ""
        return f"Library root {self.root}: {self.decision}{hidden}"


@dataclass(frozen=True)
class Look:
    """What one look came to.

    Attributes:
        take: What is to be made, first come first, no more than was asked for.
        retire: Deleted files whose partitions are to be taken out.
        decisions: The decision on each file that may be a video, by key.
        counts: How many files and folders each reason holds for, those passed over by name among them.
        alerts: What a person should look at.
    """

    take: tuple[Item, ...]
    retire: tuple[Item, ...]
    decisions: Mapping[str, Decision]
    counts: Mapping[Why, int]
    alerts: tuple[Alert, ...]

    def count(self, action: Action) -> int:
        """Return how many files this is done with."""
        return sum(number for why, number in self.counts.items() if why.action == action)


@dataclass(frozen=True)
class Answer:
    """What is done with one file, and what is known of it; `key` is None where it can have none."""

    key: str | None
    decision: Decision
    record: FileRecord | None = None
    quarantined: Quarantined | None = None
