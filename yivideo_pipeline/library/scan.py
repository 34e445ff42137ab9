"""Finds the files of the library: lists each root, and compares all roots with what the ledger knows.

No file is ever opened for it. Folders are read anew at each scan: network shares (NFS, SMB) do not report
what changes in them.
"""

import os
import stat
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from yivideo_pipeline.ledger.files import FileRecord, RootRecord, Stamp
from yivideo_pipeline.library.decisions import Decision, Reason, Twin, printable_name
from yivideo_pipeline.library.existing import Folder
from yivideo_pipeline.library.ignore import NameRules
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.storage.partition_keys import key_below, place_of
from yivideo_pipeline.storage.remote_paths import AnyPath

SUDDEN = 2
"""So many known videos gone at once, and none left, look like a disk that is not mounted."""


@dataclass
class RootScan:
    """The content of one root. All paths are relative to the root, with `/` between folders.

    Attributes:
        state: `there`; `gone`: there is no such folder; `closed`: it can't be read.
        trouble: The system's message where the root is not there.
        files: Files that may be videos by their names.
        names: The names of all files, by folder.
        inaccessible: Files and folders that exist but can't be accessed, each with the system's message.
        skipped: How many files and folders were skipped for their names.
        mounts: Folders on which a disk or share is mounted; "" is the root itself.
    """

    state: Literal["there", "gone", "closed"] = "there"
    trouble: str = ""
    files: dict[str, Stamp] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    inaccessible: dict[str, str] = field(default_factory=dict)
    skipped: Counter[Reason] = field(default_factory=Counter)
    mounts: set[str] = field(default_factory=set)


class Listing(Protocol):
    """Lists one root, wherever it lies."""

    @property
    def rules(self) -> NameRules:
        """The rules by which names are skipped."""
        ...

    def scan(self) -> RootScan:
        """List all files that may be videos; trouble is part of the result, never raised."""
        ...

    def look_up(self, path: str) -> Decision | None:
        """Return why `scan` can't find a file, given relative to the root, or None.

        Its name does not matter here.
        """
        ...


class LocalListing:
    """Lists a local or mounted folder. Links to files are files; links to folders are not followed.

    Args:
        root: The folder; it may be a link itself.
        rules: The rules by which names are skipped; skipped folders are not read.
    """

    def __init__(self, root: Path, rules: NameRules) -> None:
        self.root = root
        self.rules = rules

    def scan(self) -> RootScan:
        """List all files that may be videos, reading each folder once."""
        scan = RootScan()
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
                if not isinstance(error, FileNotFoundError):  # otherwise it was deleted just now
                    scan.inaccessible[folder] = error.strerror or str(error)
        return scan

    def _read(self, folder: str, device_above: int, scan: RootScan) -> list[tuple[str, int]]:
        """Read one folder; return its subfolders, each with the device that this folder is on."""
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
                    if decision := self.rules.check_folder(path):
                        scan.skipped[decision.reason] += 1
                    else:
                        below.append((path, device))
                    continue
                names.append(entry.name)
                if decision := self.rules.check_file(path):
                    scan.skipped[decision.reason] += 1
                else:
                    _add_file(scan, path, entry)
        return below

    def look_up(self, path: str) -> Decision | None:
        """Return why `scan` does not find a file: a link above it, or what kind of file it is."""
        for folder in list(Path(path).parents)[:-1]:
            if (self.root / folder).is_symlink():
                return Decision(Reason.LINKED, printable_name(folder.as_posix()))
        file = self.root / path
        try:
            return None if stat.S_ISREG(file.stat().st_mode) else Decision(Reason.NO_REGULAR_FILE)
        except FileNotFoundError:
            return None if file.is_symlink() else Decision(Reason.NO_FILE)
        except OSError as error:
            return Decision(Reason.INACCESSIBLE, error.strerror or str(error))


def _add_file(scan: RootScan, path: str, entry: os.DirEntry[str]) -> None:
    try:
        found = entry.stat()
    except OSError as error:
        if os.path.lexists(entry.path):  # otherwise it was deleted just now
            scan.inaccessible[path] = error.strerror or str(error)
        return
    if stat.S_ISREG(found.st_mode):
        scan.files[path] = Stamp(found.st_size, found.st_mtime_ns)


def _without_root(error: OSError) -> RootScan:
    state = "gone" if isinstance(error, FileNotFoundError) else "closed"
    return RootScan(state=state, trouble=error.strerror or str(error))


class FoundFile(NamedTuple):
    """A file that was found: its root's name, its path relative to the root, its state."""

    root: str
    path: str
    stamp: Stamp


def files_by_key(scans: Mapping[str, RootScan], roots: Mapping[str, AnyPath]) -> dict[str, FoundFile]:
    """Return all files of all roots by partition key.

    Args:
        scans: The content of each root, by the root's name.
        roots: The roots by name, as in the settings.
    """
    return {
        key_below(root, path, roots): FoundFile(root, path, stamp)
        for root, scan in scans.items()
        for path, stamp in scan.files.items()
    }


@dataclass(frozen=True)
class Survey:
    """What was found in all roots, beside what the ledger knew before.

    Args:
        now: Unix seconds.
        roots: The roots by name, as in the settings.
        rules: The name rules of each root.
        scans: The content of each root.
        found: All files that may be videos, by key.
        unchanged: Those with which nothing has happened since they were taken.
        records: What is known of all others, by key.
        seen: What is known of each root.
    """

    now: float
    roots: Mapping[str, AnyPath]
    rules: Mapping[str, NameRules]
    scans: Mapping[str, RootScan]
    found: Mapping[str, FoundFile]
    unchanged: Collection[str]
    records: Mapping[str, FileRecord]
    seen: Mapping[str, RootRecord]

    @cached_property
    def missing(self) -> dict[str, tuple[str, str]]:
        """The known files that were not found: root and path relative to it, by key."""
        places = {}
        for key in self.records.keys() - self.found.keys():
            try:
                root, path = place_of(key, self.roots)
            except ValueError:
                continue  # its root is no longer in the settings
            places[key] = (root, path.as_posix())
        return places

    @cached_property
    def troubles(self) -> dict[str, Decision]:
        """Why nothing can be said about missing files, by root."""
        troubles = {}
        for root, scan in self.scans.items():
            if scan.state != "there":
                reason = Reason.ROOT_GONE if scan.state == "gone" else Reason.ROOT_CLOSED
                troubles[root] = Decision(reason, scan.trouble)
            elif "" in self.lost_mounts(root):
                troubles[root] = Decision(Reason.MOUNT_GONE, printable_name(str(self.roots[root])))
            elif not scan.files and self._present_before(root) >= SUDDEN:
                troubles[root] = Decision(
                    Reason.ROOT_EMPTY, f"it had {plural(self._present_before(root), 'video')}"
                )
        return troubles

    def twin(self, stamp: Stamp) -> Twin | None:
        """Return the video that was taken in this state under another key; deleted ones come first."""
        key = self._taken.get(stamp)
        return None if key is None else Twin(key, is_gone=self._is_gone(key))

    @cached_property
    def _taken(self) -> dict[Stamp, str]:
        taken = [(self.found[key].stamp, key) for key in self.unchanged]
        taken += [(record.taken, key) for key, record in self.records.items() if record.taken]
        return dict(sorted(taken, key=lambda pair: self._is_gone(pair[1])))  # of equal stamps the last stays

    def _is_gone(self, key: str) -> bool:
        return key in self.missing and self.obstacle(key) is None

    def lost_mounts(self, root: str) -> set[str]:
        """Return the folders of a root on which something was mounted before and no longer is."""
        before = self.seen.get(root)
        return set(before.mounts - self.scans[root].mounts) if before else set()

    def obstacle(self, key: str) -> Decision | None:
        """Return why a missing file may still exist; None where it is gone."""
        root, path = self.missing[key]
        if root in self.troubles:
            return self.troubles[root]
        inaccessible = self.scans[root].inaccessible
        if path in inaccessible:
            return Decision(Reason.LINK_BROKEN, inaccessible[path])
        lost = self.lost_mounts(root)
        for folder in _folders_above(path):
            if folder in inaccessible:
                return Decision(Reason.FOLDER_CLOSED, f"{printable_name(folder)}: {inaccessible[folder]}")
            if folder in lost:
                return Decision(Reason.MOUNT_GONE, printable_name(folder))
        skipped = self.rules[root].check_path(path)
        # A file that belongs to another root by now is found there, under another key.
        return None if skipped and skipped.reason is Reason.OTHER_ROOT else skipped

    def folder_of(self, file: FoundFile) -> Folder:
        """Return the names in a file's folder."""
        folder = file.path.rpartition("/")[0]
        if (file.root, folder) not in self._folders:
            names = self.scans[file.root].names[folder]
            self._folders[file.root, folder] = Folder(names, self.rules[file.root].is_video)
        return self._folders[file.root, folder]

    @cached_property
    def _folders(self) -> dict[tuple[str, str], Folder]:
        return {}

    def roots_seen(self) -> list[RootRecord]:
        """Return the new records of the roots that could be read."""
        return [
            RootRecord(root, len(scan.files), self.now, frozenset(scan.mounts | self._missed_mounts(root)))
            for root, scan in self.scans.items()
            if root not in self.troubles
        ]

    def _missed_mounts(self, root: str) -> set[str]:
        """Return the lost mounts from which videos are still missing; the others are forgotten."""
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


def _folders_above(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
