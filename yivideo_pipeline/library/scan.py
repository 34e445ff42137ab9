"""Lists the files of a library root by reading its folders; no file is ever opened for it.

Folders are read anew at each look: network shares (NFS, SMB) tell nobody of what changes in them.
"""

import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from yivideo_pipeline.ledger.files import FileRecord, RootRecord, Stamp
from yivideo_pipeline.library.decisions import Decision, Twin, Why, shown
from yivideo_pipeline.library.existing import Folder
from yivideo_pipeline.library.ignore import NameRules
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import key_below, place_of


@dataclass
class Scan:
    """What one look at a root found. All paths are relative to the root, with `/` between folders.

    Attributes:
        state: `there`; `gone`: there is no such folder; `closed`: it can't be read.
        trouble: The system's words where it is not there.
        files: Files that may be videos by their names.
        names: Of each folder the names of all files in it.
        obscured: Files and folders that are there but can't be looked at, with the system's words.
        passed: How many files and folders were passed over for their names.
        mounts: Folders on which a disk or share is mounted; "" is the root itself.
    """

    state: Literal["there", "gone", "closed"] = "there"
    trouble: str = ""
    files: dict[str, Stamp] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    obscured: dict[str, str] = field(default_factory=dict)
    passed: Counter[Why] = field(default_factory=Counter)
    mounts: set[str] = field(default_factory=set)


class Listing(Protocol):
    """Lists one root, wherever it lies."""

    @property
    def rules(self) -> NameRules:
        """Which names are passed over."""
        ...

    def scan(self) -> Scan:
        """List all files that may be videos; trouble is told in the scan, never raised."""
        ...

    def look_up(self, path: str) -> Decision | None:
        """Say why a file, given below the root, can't be found by `scan` whatever its name is; else None."""
        ...


class LocalListing:
    """Lists a local or mounted folder. Links to files are files; links to folders are not followed.

    Args:
        root: The folder; it may be a link itself.
        rules: Names that are passed over; folders among them are not read.
    """

    def __init__(self, root: Path, rules: NameRules) -> None:
        self.root = root
        self.rules = rules

    def scan(self) -> Scan:
        """List all files that may be videos, reading each folder once."""
        scan = Scan()
        try:
            folders = [("", self.root.resolve().parent.stat().st_dev)]
        except OSError as error:
            return _without_root(error)
        while folders:
            folder, device_above = folders.pop()
            try:
                folders += self._read(folder, device_above, scan)
            except OSError as error:
                if not folder:
                    return _without_root(error)
                if not isinstance(error, FileNotFoundError):  # else it was deleted just now
                    scan.obscured[folder] = error.strerror or str(error)
        return scan

    def _read(self, folder: str, device_above: int, scan: Scan) -> list[tuple[str, int]]:
        """Read one folder; returns those in it, each with the device that this one is on."""
        device = (self.root / folder).stat().st_dev
        if device != device_above:
            scan.mounts.add(folder)
        below = []
        prefix = f"{folder}/" if folder else ""
        names = scan.names.setdefault(folder, [])
        with os.scandir(self.root / folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if passed := self.rules.pass_folder(path):
                        scan.passed[passed.why] += 1
                    else:
                        below.append((path, device))
                    continue
                names.append(entry.name)
                if passed := self.rules.pass_file(path):
                    scan.passed[passed.why] += 1
                else:
                    _note(scan, path, entry)
        return below

    def look_up(self, path: str) -> Decision | None:
        """Say why `scan` does not find a file: a link above it, or what it is."""
        for folder in list(Path(path).parents)[:-1]:
            if (self.root / folder).is_symlink():
                return Decision(Why.LINKED, shown(folder.as_posix()))
        file = self.root / path
        try:
            return None if stat.S_ISREG(file.stat().st_mode) else Decision(Why.NO_REGULAR_FILE)
        except FileNotFoundError:
            return None if file.is_symlink() else Decision(Why.NO_FILE)
        except OSError as error:
            return Decision(Why.OBSCURED, error.strerror or str(error))


def _note(scan: Scan, path: str, entry: os.DirEntry[str]) -> None:
    try:
        found = entry.stat()
    except OSError as error:
        if os.path.lexists(entry.path):  # else it was deleted just now
            scan.obscured[path] = error.strerror or str(error)
        return
    if stat.S_ISREG(found.st_mode):
        scan.files[path] = Stamp(found.st_size, found.st_mtime_ns)


def _without_root(error: OSError) -> Scan:
    state = "gone" if isinstance(error, FileNotFoundError) else "closed"
    return Scan(state=state, trouble=error.strerror or str(error))


# PART library/ours.py: Folders of yivideo's own: what lies in them is decoded sound or a log, no video of a person's.


def own_folders(settings: Settings) -> set[Path]:
    """Return the folders that are never searched for videos: artifacts, weights, Dagster's, logs, work."""
    own = {settings.cache.model_dir, *(settings.home / name for name in ("dagster", "logs", "tmp"))}
    artifacts = Storage(settings.storage.root, settings.home / "tmp").files.folder
    return own | ({artifacts} if artifacts else set())


# PART library/survey.py: One look at all roots, beside what was noted before: what is there, what is missing, and why.

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
