"""`yivideo backup`: a copy of the home folder that can be used as one, taken while everything runs.

The databases go first, each by SQLite's online backup, which neither sees half a transaction nor makes a
writer wait. Artifacts are added and replaced whole, and never removed, so that all those that the databases
know are there when they are copied. A later backup to the same folder copies only what has changed.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from yivideo_pipeline.cli.console import Exit, WrongUsage, file_size, open_console, print_error, show_path
from yivideo_pipeline.cli.folders import SpaceNeed, require_space, require_writable
from yivideo_pipeline.errors.tree import DiskError
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.load import find_config, load_settings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.storage.file_store import FileStore

MARK = "backup.json"
"""File in the backup's folder that names the home it is of."""
_PASSING = ("tmp", "locks", "checkpoints")
"""Folders of work in progress, in which files come and go."""
_NOT_STATE = (".lock", "-wal", "-shm")
_SAME_S = 0.001
_PATIENCE_S = 30
"""A copy waits so long for a program that has locked the whole database."""


@dataclass(frozen=True)
class FileCopy:
    """A file of the home and its place in the backup."""

    source: Path
    target: Path

    @property
    def is_database(self) -> bool:
        """Whether SQLite must copy it."""
        return self.source.suffix == ".db"

    @property
    def changed_at(self) -> float:
        """When the file was last changed; what a database's log holds is part of it.

        Raises:
            FileNotFoundError: It was removed.
        """
        changed_at = self.source.stat().st_mtime
        with suppress(FileNotFoundError):
            log = self.source.with_name(f"{self.source.name}-wal")
            changed_at = max(changed_at, log.stat().st_mtime)
        return changed_at

    @property
    def bytes_to_copy(self) -> int | None:
        """The file's size; None where an earlier backup has it as it is, or it was removed meanwhile."""
        try:
            size, changed_at = self.source.stat().st_size, self.changed_at
        except FileNotFoundError:
            return None
        if not self.target.is_file():
            return size
        there = self.target.stat()
        is_same = abs(there.st_mtime - changed_at) <= _SAME_S and (self.is_database or there.st_size == size)
        return None if is_same else size

    def make(self) -> None:
        """Copy the file; the place holds the old copy or the new one, never half of it.

        Raises:
            DiskError: It is a database that is damaged or stays locked; the old copy stays.
            FileNotFoundError: It was removed meanwhile.
        """
        self.target.parent.mkdir(parents=True, exist_ok=True)
        part = self.target.with_name(f"{self.target.name}.part")
        part.unlink(missing_ok=True)
        changed_at = self.changed_at  # before the copy: what comes meanwhile counts as changed next time
        if self.is_database:
            _copy_database(self.source, part)
        else:
            shutil.copyfile(self.source, part)
        shutil.copymode(self.source, part)
        os.utime(part, (changed_at, changed_at))
        part.replace(self.target)


def _copy_database(source: Path, part: Path) -> None:
    # Only an existing file is opened: SQLite would make one that was removed meanwhile.
    live_url, problem = f"{source.as_uri()}?mode=rw", "ok"
    try:
        with (
            closing(sqlite3.connect(live_url, timeout=_PATIENCE_S, uri=True)) as live,
            closing(sqlite3.connect(part)) as copy,
        ):
            live.backup(copy)
            (problem,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        if not source.exists():
            raise FileNotFoundError(source) from error
        problem = str(error)
    if problem != "ok":
        part.unlink(missing_ok=True)
        raise DiskError(
            f"{show_path(source)} can't be copied ({' '.join(problem.split())})",
            "The backup keeps its earlier copy; `yivideo doctor` says what to do",
        )


def back_up(folder: Path, config: Path | None) -> Exit:
    """Copy ledger, Dagster's state, settings, artifacts and edits; fails if a database can't be copied.

    Args:
        folder: A new folder, or that of an earlier backup of this home.
        config: Settings file.

    Raises:
        WrongUsage: The folder is no backup of this home, or is inside it, or the home is empty.
        DiskError: The folder can't be written, or has no room.
    """
    settings = load_settings(config)
    folder = folder.expanduser().absolute()
    _require_place(folder, settings.home)
    copies = list(_plan(settings, folder))
    changed = {copy: size for copy in copies if (size := copy.bytes_to_copy) is not None}
    require_writable(folder, "Name a folder that you may write")
    size = sum(changed.values())
    require_space([SpaceNeed(folder, size, "the backup")])
    (folder / MARK).write_text(json.dumps({"home": str(settings.home)}), encoding="utf-8")
    failed = 0
    for copy in changed:
        try:
            copy.make()
        except FileNotFoundError:
            continue
        except DiskError as error:
            print_error(error)
            failed += 1
    console = open_console()
    console.print(
        f"{show_path(folder)} is a copy of {show_path(settings.home)}: {plural(len(copies), 'file')},"
        f" {file_size(size)} of them new"
    )
    for line in _left_out(settings, find_config(config, os.environ)):
        console.print(line)
    return Exit.FAILED if failed else Exit.DONE


def _require_place(folder: Path, home: Path) -> None:
    if not (home / "dagster").is_dir():
        raise WrongUsage(f"{show_path(home)} holds nothing yet", "Name the home folder in YIVIDEO_HOME")
    if folder.is_relative_to(home):
        raise WrongUsage(f"{show_path(folder)} is in the home folder itself", "Name a folder on another disk")
    of = _home_of(folder)
    if of is None and folder.is_dir() and any(folder.iterdir()):
        raise WrongUsage(f"{show_path(folder)} is neither empty nor a backup", "Name a new folder")
    if of not in (None, str(home)):
        raise WrongUsage(f"{show_path(folder)} is a backup of {of}", "Name another folder")


def _home_of(folder: Path) -> str | None:
    """Return the home that a folder is a backup of; None where it is no backup."""
    try:
        return str(json.loads((folder / MARK).read_text(encoding="utf-8"))["home"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plan(settings: Settings, folder: Path) -> Iterator[FileCopy]:
    """Yield the files of a backup, databases first."""
    home, state = settings.home, []
    for part in ("library.db", "dagster", "reports", "config.yml"):
        state += [home / part, *(home / part).rglob("*")]
    for file in sorted(state, key=lambda file: file.suffix != ".db"):
        if file.is_file() and not file.name.endswith(_NOT_STATE):
            yield FileCopy(file, folder / file.relative_to(home))
    artifacts = FileStore(settings.storage.root, home / "tmp").folder
    if artifacts:
        for file in artifacts.rglob("*"):
            inside = file.relative_to(artifacts)
            if inside.parts[0] not in _PASSING and file.is_file():
                yield FileCopy(file, folder / "artifacts" / inside)


def _left_out(settings: Settings, config: Path | None) -> Iterator[str]:
    if config and not config.absolute().is_relative_to(settings.home):
        yield f"The settings file {show_path(config)} is not in it."
    if settings.storage.read_database_url():
        yield "The PostgreSQL database is not in it: back it up with pg_dump."
    if FileStore(settings.storage.root, settings.home / "tmp").folder is None:
        yield f"The artifacts in {settings.storage.root} are not in it."
    yield "Videos, models and logs are not in it."
