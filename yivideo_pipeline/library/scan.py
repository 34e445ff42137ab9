"""Lists the files of a library root by reading its folders; no file is ever opened for it.

Folders are read anew at each look: network shares (NFS, SMB) tell nobody of what changes in them.
"""

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from yivideo_pipeline.ledger.files import Stamp
from yivideo_pipeline.library.decision import Decision, Why, shown
from yivideo_pipeline.library.ignore import NameRules


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
