"""One look at all roots, beside what was noted before: what is there, what is missing, and why."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from yivideo_pipeline.ledger.files import FileRecord, RootRecord, Stamp
from yivideo_pipeline.library.decision import Decision, Why, shown
from yivideo_pipeline.library.decisions import Twin
from yivideo_pipeline.library.existing import Folder
from yivideo_pipeline.library.ignore import NameRules
from yivideo_pipeline.library.ours import own_folders
from yivideo_pipeline.library.scan import Scan
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.storage.partition_keys import key_below, place_of

SUDDEN = 2
"""So many known videos gone at once, and none left, look like a disk that is not mounted."""


class Place(NamedTuple):
    """A file that was found: its root by name, its path below it, its state."""

    root: str
    path: str
    stamp: Stamp


@dataclass(frozen=True)
class Survey:
    """What was found in all roots at one time, and what had been noted before.

    Args:
        now: Unix seconds.
        roots: The roots by name, as in the settings.
        rules: The name rules of each root.
        scans: What was found in each root.
        records: What was noted of each file, by key.
        seen: What was noted of each root.
    """

    now: float
    roots: Mapping[str, Path]
    rules: Mapping[str, NameRules]
    scans: Mapping[str, Scan]
    records: Mapping[str, FileRecord]
    seen: Mapping[str, RootRecord]

    @cached_property
    def found(self) -> dict[str, Place]:
        """All files that may be videos, by key."""
        return {
            key_below(root, path, self.roots): Place(root, path, stamp)
            for root, scan in self.scans.items()
            for path, stamp in scan.files.items()
        }

    @cached_property
    def missing(self) -> dict[str, tuple[str, str]]:
        """The noted files that were not found: root and path below it, by key."""
        places = {}
        for key in self.records.keys() - self.found.keys():
            try:
                root, path = place_of(key, self.roots)
            except ValueError:
                continue  # its root is no longer in the settings: nobody looks after it
            places[key] = (root, path.as_posix())
        return places

    @cached_property
    def troubles(self) -> dict[str, Decision]:
        """Why nothing can be said of what is missing, by root."""
        troubles = {}
        for root, scan in self.scans.items():
            if scan.state != "there":
                why = Why.ROOT_GONE if scan.state == "gone" else Why.ROOT_CLOSED
                troubles[root] = Decision(why, scan.trouble)
            elif "" in self.lost_mounts(root):
                troubles[root] = Decision(Why.MOUNT_GONE, shown(str(self.roots[root])))
            elif not scan.files and self._present_before(root) >= SUDDEN:
                troubles[root] = Decision(Why.ROOT_EMPTY, f"{self._present_before(root)} videos were in it")
        return troubles

    def twin(self, stamp: Stamp) -> Twin | None:
        """Return the video that was taken in this state under another key; a deleted one before others."""
        key = self._taken.get(stamp)
        return None if key is None else Twin(key, is_gone=self._is_gone(key))

    @cached_property
    def _taken(self) -> dict[Stamp, str]:
        taken = [(record.taken, key) for key, record in self.records.items() if record.taken]
        return dict(sorted(taken, key=lambda pair: self._is_gone(pair[1])))  # the last of equals stays

    def _is_gone(self, key: str) -> bool:
        return key in self.missing and self.obstacle(key) is None

    def lost_mounts(self, root: str) -> set[str]:
        """Return the folders of a root on which something was mounted before and is not now."""
        before = self.seen.get(root)
        return set(before.mounts - self.scans[root].mounts) if before else set()

    def obstacle(self, key: str) -> Decision | None:
        """Say why a missing file may still be there; None where it is gone."""
        root, path = self.missing[key]
        if root in self.troubles:
            return self.troubles[root]
        obscured = self.scans[root].obscured
        if path in obscured:
            return Decision(Why.LINK_BROKEN, obscured[path])
        lost = self.lost_mounts(root)
        for folder in _folders_above(path):
            if folder in obscured:
                return Decision(Why.FOLDER_CLOSED, f"{shown(folder)}: {obscured[folder]}")
            if folder in lost:
                return Decision(Why.MOUNT_GONE, shown(folder))
        passed = self.rules[root].pass_path(path)
        # What belongs to another root by now is found there, under another key.
        return None if passed and passed.why is Why.OTHER_ROOT else passed

    def folder_of(self, place: Place) -> Folder:
        """Return the names beside a file."""
        folder = place.path.rpartition("/")[0]
        if (place.root, folder) not in self._folders:
            names = self.scans[place.root].names[folder]
            self._folders[place.root, folder] = Folder(names, self.rules[place.root].is_video)
        return self._folders[place.root, folder]

    @cached_property
    def _folders(self) -> dict[tuple[str, str], Folder]:
        return {}

    def roots_seen(self) -> list[RootRecord]:
        """Return what is to be noted of the roots that could be looked at."""
        return [
            RootRecord(root, len(scan.files), self.now, frozenset(scan.mounts | self._missed_mounts(root)))
            for root, scan in self.scans.items()
            if root not in self.troubles
        ]

    def _missed_mounts(self, root: str) -> set[str]:
        """Return the lost mounts that videos are still missed from; the others are forgotten."""
        paths = [path for of, path in self.missing.values() if of == root]
        return self.lost_mounts(root) & {folder for path in paths for folder in _folders_above(path)}

    def _present_before(self, root: str) -> int:
        present = [
            key
            for key, (of, _) in self.missing.items()
            if of == root
            and (record := self.records[key]).taken
            and record.missing_since is None
            and record.retired_at is None
        ]
        return len(present)


def absolute_roots(settings: Settings) -> dict[str, Path]:
    """Return the library's roots as absolute paths; links among them stay links."""
    return {name: _absolute(root) for name, root in settings.library.roots.items()}


def rules_of_roots(settings: Settings) -> dict[str, NameRules]:
    """Return the name rules of each root: folders of ours and roots inside it are not looked into."""
    library = settings.library
    roots = absolute_roots(settings)
    ours = {_absolute(folder) for folder in own_folders(settings)}
    rules = {}
    for name, root in roots.items():
        closed = {_below(folder, root): Why.OURS for folder in ours if root in folder.parents}
        closed |= {_below(other, root): Why.OTHER_ROOT for other in roots.values() if root in other.parents}
        rules[name] = NameRules(library.extensions, library.ignore, closed)
    return rules


def _folders_above(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _below(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix()


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
