"""Whole files under one root, local or remote: a reader never sees half of one."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock
from upath import UPath

# PART storage/scratch.py: Folders for work in progress, which a killed writer may leave behind and the next one removes.

_LOCK = ".in-use"


@contextmanager
def scratch_folder(parent: Path) -> Generator[Path]:
    """Lend an empty folder under `parent`, removed at the end; remove what dead processes left there.

    A folder in use holds a locked file. The kernel drops the lock when its process ends, however it
    ends, so that an unlocked folder is nobody's.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=parent))
    try:
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Named only once it is locked: a sweep never meets it in between.
            (folder / ".lock").rename(folder / _LOCK)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> list[Path]:
    """Remove the scratch folders of processes that are gone; returns what was removed."""
    removed = []
    for lock_file in parent.glob(f"work-*/{_LOCK}"):
        try:
            with lock_file.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock_file.parent, ignore_errors=True)
                removed.append(lock_file.parent)
        except (BlockingIOError, FileNotFoundError):
            continue  # in use, or another process swept it first
    return removed


class FileStore:
    """Files by name under a local folder or any fsspec URL.

    Args:
        root: A folder, or a URL such as `s3://bucket/yivideo`.
        work_dir: Local folder for work in progress where the root is remote; under a local root it is
            the root's own `tmp`, since only a rename within one file system is atomic.
    """

    def __init__(self, root: str | Path, work_dir: Path | None = None) -> None:
        self.root = UPath(root)
        self.folder: Path | None = None
        """The root as a local folder; None where it is remote."""
        if self.root.protocol in ("", "file", "local"):
            self.folder = Path(self.root.path).absolute()
            work_dir = self.folder / "tmp"
        if work_dir is None:
            raise ValueError(f"{root} is remote: a local folder for work in progress is needed")
        self._work_dir = work_dir

    def scratch(self) -> AbstractContextManager[Path]:
        """Lend an empty local folder for work in progress; it is gone afterwards."""
        return scratch_folder(self._work_dir)

    def lock(self, name: str) -> AbstractContextManager[object]:
        """Hold a name against all other processes of this machine that ask for the same one."""
        folder = self._work_dir.parent / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock")

    def exists(self, name: str) -> bool:
        """Tell whether a file of this name is there."""
        return (self.root / name).is_file()

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None where there is none of that name."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a file as a whole, replacing one of the same name."""
        with self.scratch() as work:
            (work / "data").write_bytes(data)
            self.put(name, work / "data")

    def put(self, name: str, source: Path) -> None:
        """Move a file that was made in a `scratch` folder to its place under the root."""
        if self.folder:
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _flush(source)
            source.replace(target)
            return
        remote = self.root / name
        part = remote.with_name(f"{uuid4().hex}.part")
        remote.parent.mkdir(parents=True, exist_ok=True)
        remote.fs.put_file(str(source), part.path)
        remote.fs.mv(part.path, remote.path)
        source.unlink()

    @contextmanager
    def local_copy(self, name: str) -> Generator[Path]:
        """Lend a file as a local path: the file itself where the root is local, else a copy of it."""
        if self.folder:
            yield self.folder / name
            return
        remote = self.root / name
        with self.scratch() as work:
            copy = work / remote.name
            remote.fs.get_file(remote.path, str(copy))
            yield copy


def _flush(path: Path) -> None:
    # Without it a power cut could leave a renamed file whose content never reached the disk.
    with path.open("rb") as file:
        os.fsync(file.fileno())
