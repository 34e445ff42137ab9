"""What a look at the library came to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yivideo_pipeline.ledger.failures import Quarantined
from yivideo_pipeline.ledger.files import FileRecord, Stamp
from yivideo_pipeline.library.decision import Action, Decision, Why


@dataclass(frozen=True)
class Item:
    """A file that something is to be done with; `since` is when this came about, in Unix seconds.

    That is when the file was first seen in this state, or when it was missed before it came back.
    """

    key: str
    root: str
    path: Path
    stamp: Stamp
    decision: Decision
    since: float

    @property
    def run_key(self) -> str:
        """Names this state of this file at this occasion: the same is never to be submitted twice.

        The state alone would not do: a file that was released, restored or put back looks as it did before.
        """
        return f"{self.key}@{self.stamp.size_bytes}-{self.stamp.mtime_ns}-{self.since:.6f}"


_HINTS = {
    Why.ROOT_GONE: "Mount or make the folder, or correct library.roots",
    Why.ROOT_CLOSED: "Give yivideo the permission to read it, or look at the disk or share",
    Why.ROOT_EMPTY: "Mount what belongs there; if it is meant to be empty, nothing has to be done",
    Why.MOUNT_GONE: "Mount it again",
    Why.FOLDER_CLOSED: "Give yivideo the permission to read it, or look at the disk or share",
    Why.LINK_BROKEN: "Look at what the link points to, and at the permissions",
}


@dataclass(frozen=True)
class Alert:
    """Something that keeps the watch from seeing a whole root, or videos that it knows.

    `videos` are the known ones that can't be seen.
    """

    root: str
    decision: Decision
    videos: int

    @property
    def message(self) -> str:
        """What is wrong, in one line."""
        known = f"; {self.videos} known videos are not seen" if self.videos else ""
        return f"Library root {self.root!r}: {self.decision}{known}"

    @property
    def hint(self) -> str:
        """What a person can do about it."""
        return _HINTS[self.decision.why]

    @property
    def fingerprint(self) -> str:
        """The same as long as it is the same trouble."""
        return f"{self.root}:{self.decision.why.name}:{self.decision.detail}"


@dataclass(frozen=True)
class Look:
    """What one look came to.

    Attributes:
        take: What is to be made, first come first, no more than was asked for.
        retire: Deleted files whose partitions are to be taken out.
        decisions: The decision on each file that may be a video, by key.
        news: Those among them that are not as they were at the last look.
        counts: How many files and folders each reason holds for, those passed over by name among them.
        alerts: What a person should look at.
    """

    take: tuple[Item, ...]
    retire: tuple[Item, ...]
    decisions: Mapping[str, Decision]
    news: Mapping[str, Decision]
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
