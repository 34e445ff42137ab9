"""Folders for work in progress, which a killed process may leave behind and the next one removes."""

import fcntl
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".in-use"


@contextmanager
def scratch_folder(parent: Path) -> Generator[Path]:
    """Lend an empty folder under `parent`, removed at the end; remove those that dead processes left.

    A folder in use holds a locked file. The kernel drops the lock when its process ends, however it
    ends, so that an unlocked folder has no owner.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=parent))
    try:
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Renamed only once it is locked, so that no sweep sees it unlocked.
            (folder / ".lock").rename(folder / _LOCK)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> list[Path]:
    """Remove the scratch folders of processes that have ended; return those folders."""
    removed = []
    for lock_file in parent.glob(f"work-*/{_LOCK}"):
        try:
            with lock_file.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock_file.parent, ignore_errors=True)
                removed.append(lock_file.parent)
        except (BlockingIOError, FileNotFoundError):
            continue  # in use, or another process removed it first
    return removed
