"""The results of a scan of the library: files to take or retire, all decisions, alerts."""

from collections.abc import Mapping
from dataclasses import dataclass

from yivideo_pipeline.ledger.failures import Quarantined
from yivideo_pipeline.ledger.files import FileRecord, Stamp
from yivideo_pipeline.library.decisions import Action, Decision, Reason
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.storage.remote_paths import AnyPath

_HINTS = {
    Reason.ROOT_GONE: "Mount or create the folder, or correct library.roots",
    Reason.ROOT_CLOSED: "Give yivideo read permission, or check the disk or share",
    Reason.ROOT_EMPTY: "Mount what belongs there; if it is meant to be empty, nothing has to be done",
    Reason.MOUNT_GONE: "Mount it again",
    Reason.FOLDER_CLOSED: "Give yivideo read permission, or check the disk or share",
    Reason.LINK_BROKEN: "Check the link's target and the permissions",
}


@dataclass(frozen=True)
class LibraryItem:
    """A file to take or retire; `since` is when the reason for it arose, in Unix seconds.

    That is when the file was first seen in this state, or when it was missed before it came back.
    """

    key: str
    root: str
    path: AnyPath
    stamp: Stamp
    decision: Decision
    since: float

    @property
    def run_key(self) -> str:
        """Identifies this state of this file on this occasion, so that it is submitted once only.

        The state alone would not do: a file that was released or restored looks as it did before.
        """
        return f"{self.key}@{self.stamp.size_bytes}-{self.stamp.mtime_ns}-{self.since:.6f}"


@dataclass(frozen=True)
class WatchAlert:
    """Something that keeps the watch from seeing a whole root, or videos that it knows.

    `videos` is the number of known videos that can't be seen.
    """

    root: str
    decision: Decision
    videos: int

    @property
    def message(self) -> str:
        """What is wrong, in one line."""
        known = f"; {plural(self.videos, 'known video')} can't be seen" if self.videos else ""
        return f"Library root {self.root!r}: {self.decision}{known}"

    @property
    def hint(self) -> str:
        """What the user can do about it."""
        return _HINTS[self.decision.reason]

    @property
    def fingerprint(self) -> str:
        """Stays the same as long as the problem does."""
        return f"{self.root}:{self.decision.reason.name}:{self.decision.detail}"


@dataclass(frozen=True)
class ScanResult:
    """The result of one scan of all roots.

    Attributes:
        take: Files to take, those seen first at the front, at most as many as asked for.
        retire: Deleted files whose partitions are to be removed.
        decisions: The decision on each file that may be a video, by key.
        changes: Those decisions that differ from the last scan's.
        counts: How many files and folders each reason holds for, those skipped by name included.
        alerts: Problems that the user should look at.
        settled_in_s: Seconds until the first of the files that may still be written has stood still for long
            enough; None where there is none.
    """

    take: tuple[LibraryItem, ...]
    retire: tuple[LibraryItem, ...]
    decisions: Mapping[str, Decision]
    changes: Mapping[str, Decision]
    counts: Mapping[Reason, int]
    alerts: tuple[WatchAlert, ...]
    settled_in_s: float | None = None

    def count(self, action: Action) -> int:
        """Return the number of files with an action."""
        return sum(number for reason, number in self.counts.items() if reason.action == action)


@dataclass(frozen=True)
class Explanation:
    """The decision on one file and what is known of it; `key` is None where it can have none."""

    key: str | None
    decision: Decision
    record: FileRecord | None = None
    quarantined: Quarantined | None = None
