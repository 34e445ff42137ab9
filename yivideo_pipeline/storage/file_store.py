"""Whole files under one root, local or remote: no reader ever sees half a file.

Work in progress has scratch folders; what a killed process leaves of them, the next one removes.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from filelock import FileLock

from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.storage.remote_paths import DRIVERS, kind_of, open_place, require_bucket

_LOCK = ".in-use"
if TYPE_CHECKING:
    from upath import UPath

Locks = Callable[[str], AbstractContextManager[object]]
_PART = ".part"
_PASSING = ("tmp", "locks")
"""Folders under a local root that hold no files of the store."""


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


class FileStore:
    """Files by name under a local folder or any fsspec URL.

    Args:
        root: A folder, or a URL such as `s3://bucket/yivideo`, whose bucket exists.
        work_dir: Local folder for work in progress where the root is remote; under a local root it is
            the root's own `tmp`, since only a rename within one file system is atomic.
        locks: Locks a name against all other users of the root, where those of other hosts are among them;
            by default files lock it against other processes of this host.

    Raises:
        ConfigError: There is no driver for the URL.
    """

    def __init__(self, root: str | Path, work_dir: Path | None = None, locks: Locks | None = None) -> None:
        self.root = open_place(root)
        self.folder: Path | None = None
        """The root as a local folder; None where it is remote."""
        if isinstance(self.root, Path):
            self.root = self.folder = self.root.absolute()
            work_dir = self.folder / "tmp"
        if work_dir is None:
            raise ValueError(f"{root} is remote: a local folder for work in progress is needed")
        self._work_dir = work_dir
        self._locks = locks

    def require_reachable(self) -> None:
        """Ask object storage whether the root's bucket exists; elsewhere nothing.

        Raises:
            ConfigError: It does not.
            Exception: The driver's own, where the storage does not answer; `classify` knows them.
        """
        if kind_of(str(self.root)) not in DRIVERS:
            return
        try:
            require_bucket(self._remote())
        except FileNotFoundError as error:
            raise self._no_bucket() from error

    def _remote(self, name: str = "") -> "UPath":
        """Return a file's place under the root, which is not local."""
        root = cast("UPath", self.root)
        return root / name if name else root

    def _no_bucket(self) -> ConfigError:
        return ConfigError(f"There is no bucket for {self.root}", "Create it, or correct storage.root")

    def scratch(self) -> AbstractContextManager[Path]:
        """Lend an empty local folder for work in progress; it is removed afterwards."""
        return scratch_folder(self._work_dir)

    def lock(self, name: str) -> AbstractContextManager[object]:
        """Lock a name against all others that use the root."""
        if self._locks:
            return self._locks(name)
        folder = self._work_dir.parent / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock")

    def exists(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return (self.root / name).is_file()

    def size(self, name: str) -> int | None:
        """Return a file's bytes, None where there is no such file."""
        try:
            return (self.root / name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None where there is no such file."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def read_folder(self, name: str) -> dict[str, bytes]:
        """Return the bytes of every file in a folder, by name; none where there is no such folder."""
        if self.folder:
            paths = [path for path in (self.folder / name).glob("*") if path.is_file()]
            read = {path.name: self.read(f"{name}/{path.name}") for path in paths}
            return {child: data for child, data in read.items() if data is not None}
        fs, found = self._find(name)
        names = {path: path.removeprefix(f"{self._remote(name).path}/") for path in found}
        paths = [path for path, child in names.items() if "/" not in child]
        # All at once: one after the other, each would wait for the network.
        answers = fs.cat(paths, on_error="return") if paths else {}
        for answer in answers.values():
            if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                raise answer
        return {names[path]: data for path, data in answers.items() if isinstance(data, bytes)}

    def folders(self, name: str) -> dict[str, float]:
        """Return the folders in a folder, and when something was last put there (seconds of the epoch)."""
        if self.folder:
            paths = (self.folder / name).glob("*")
            return {path.name: path.stat().st_mtime for path in paths if path.is_dir()}
        fs, paths = self._find(name)
        written: dict[str, float] = {}
        for path in paths:
            child = path.removeprefix(f"{self._remote(name).path}/").partition("/")[0]
            written[child] = max(written.get(child, 0.0), fs.modified(path).timestamp())
        return written

    def names(self) -> list[str]:
        """Return the names of all whole files."""
        if self.folder:
            paths = (path for path in self.folder.rglob("*") if path.is_file())
            names = [path.relative_to(self.folder).as_posix() for path in paths]
        else:
            names = [path.removeprefix(f"{self._remote().path}/") for path in self._find("")[1]]
        return [name for name in names if name.partition("/")[0] not in _PASSING]

    def remove_folder(self, name: str) -> None:
        """Remove a folder with all that is in it, if there is one."""
        if self.folder:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            return
        fs, paths = self._find(name)
        if paths:
            fs.rm(paths)

    def _find(self, name: str) -> tuple[Any, list[str]]:
        """Return the remote file system, and the whole files below a folder as it names them."""
        path, fs = self._remote(name).path, self._remote().fs
        fs.invalidate_cache(path)
        return fs, [found for found in fs.find(path) if not found.endswith(_PART)]

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file, replacing one of the same name."""
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
        self._upload(self._remote(name), source)
        source.unlink()

    def _upload(self, target: "UPath", source: Path) -> None:
        """Upload a file; a large one goes in parts, and either way nothing is there until all of it is."""
        if kind_of(str(self.root)) not in DRIVERS:  # it may show a file while that is written
            part = target.with_name(f"{uuid4().hex}{_PART}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.fs.put_file(str(source), part.path)
            target.fs.mv(part.path, target.path)
            return
        try:
            target.fs.put_file(str(source), target.path)
        except FileNotFoundError as error:
            raise self._no_bucket() from error

    @contextmanager
    def local_copy(self, name: str) -> Generator[Path]:
        """Lend a file as a local path: the file itself where the root is local, else a copy of it."""
        if self.folder:
            yield self.folder / name
            return
        remote = self._remote(name)
        with self.scratch() as work:
            copy = work / remote.name
            remote.fs.get_file(remote.path, str(copy))
            yield copy


def _flush(path: Path) -> None:
    # Without it a power failure could leave a renamed file whose content never reached the disk.
    with path.open("rb") as file:
        os.fsync(file.fileno())
