"""What a look at the library came to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.ledger.failures import Quarantined
from yivideo_pipeline.ledger.files import FileRecord, Stamp
from yivideo_pipeline.library.decisions import Action, Decision, Why
from yivideo_pipeline.library.existing import Folder, MediaFacts, Sidecar, read_facts
from yivideo_pipeline.storage.artifacts import Storage


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


# PART library/evidence.py: What speaks for and against one file: looked up when it is asked for, and remembered.


class Evidence:
    """The inside of a file, and the subtitles beside it.

    Args:
        record: What is noted of the file.
        root: The root that it lies in.
        below: Its path below the root.
        folder: The names beside it.
        storage: Knows which subtitles we wrote ourselves.
        may_open: Whether the file may be opened.

    `record` holds afterwards what was found out, for the next time.
    """

    def __init__(
        self, record: FileRecord, root: Path, below: str, folder: Folder, storage: Storage, may_open: bool
    ) -> None:
        self.record = record
        self._root = root
        self._below = below
        self._folder = folder
        self._storage = storage
        self._may_open = may_open

    @property
    def _path(self) -> Path:
        return self._root / self._below

    def facts(self) -> MediaFacts | Decision:
        """Return what is inside; a decision where it can't be opened now."""
        if self.record.facts:
            return MediaFacts.model_validate_json(self.record.facts)
        if not self._may_open:
            return Decision(Why.QUEUED)
        try:
            facts = read_facts(self._path)
        except YivideoError as error:
            return Decision(Why.OBSCURED, error.message)
        if self._stamp_now() != self.record.stamp:
            return Decision(Why.SETTLING)  # it changed since it was listed: the facts are of neither state
        self.record = replace(self.record, facts=facts.model_dump_json())
        return facts

    def sidecars(self) -> list[Sidecar]:
        """Return the subtitles beside it, but for those that we wrote for this very video."""
        known = set(json.loads(self.record.foreign or "[]"))
        sidecars = self._folder.sidecars_of(self._path.name)
        foreign = [one for one in sidecars if one.name in known or not self._is_ours(one)]
        names = [one.name for one in foreign]
        if names and not known.issuperset(names):
            self.record = replace(self.record, foreign=json.dumps(names))
        return foreign

    def _stamp_now(self) -> Stamp | None:
        try:
            found = self._path.stat()
        except OSError:
            return None  # it vanished, or its share did: the next look tells which
        return Stamp(found.st_size, found.st_mtime_ns)

    def _is_ours(self, sidecar: Sidecar) -> bool:
        delivery = self._storage.delivery(self._path.with_name(sidecar.name))
        return delivery is not None and delivery[1] == self.record.key
