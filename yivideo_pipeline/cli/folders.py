"""The folders that a command needs: whether they can be written, and whether their disks have room."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from yivideo_pipeline.cli.console import file_size, printable
from yivideo_pipeline.errors.tree import DiskError, DiskFull
from yivideo_pipeline.ledger import Ledger, open_ledger
from yivideo_pipeline.machine.host import read_disk
from yivideo_pipeline.settings.settings import Settings

LEAST_FREE_BYTES = 2**20
"""Room for subtitles, records and the like."""


def require_home(home: Path) -> None:
    """Make the home folder where it is missing, and check that it can be written.

    Raises:
        DiskError: It can't.
    """
    require_writable(home, "Set YIVIDEO_HOME to a folder that you may write")


def ledger_of(settings: Settings) -> Ledger:
    """Open the ledger that the settings name; it is made on first use.

    Raises:
        ConfigError: A newer version of the program made it.
        DiskError: The home folder can't be written, which is needed to read the ledger too.
        ServiceUnreachable: Its database does not answer.
    """
    require_home(settings.home)
    return open_ledger(settings.home, settings.storage.read_database_url())


def make_inbox(settings: Settings) -> None:
    """Make the default library root; those that the user named may be disks that are not mounted.

    Raises:
        DiskError: It can't be written.
    """
    if settings.origin("library.roots") == "default":
        for root in settings.library.folders.values():
            require_writable(root, "Name a folder with your videos in library.roots of the settings")


def require_writable(folder: Path, advice: str) -> None:
    """Make the folder where it is missing, and write a nameless file into it.

    Permissions alone don't decide: a mount may be read-only, a network share may refuse root.

    Raises:
        DiskError: It can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "it is a file, or below one" if is_file else error.strerror or str(error)
        raise DiskError(f"{printable(str(folder))} can't be written ({reason})", advice) from error


@dataclass(frozen=True)
class SpaceNeed:
    """Bytes that will be written to an existing folder, and what they are for."""

    folder: Path
    size_bytes: int
    purpose: str


def require_space(needs: Iterable[SpaceNeed]) -> None:
    """Check that every disk has room for all that will be written to it.

    Raises:
        DiskFull: One has not.
    """
    by_disk: dict[int, list[SpaceNeed]] = {}
    for need in needs:
        by_disk.setdefault(read_disk(need.folder).device, []).append(need)
    for of_disk in by_disk.values():
        total = sum(need.size_bytes for need in of_disk) + LEAST_FREE_BYTES
        free = read_disk(of_disk[0].folder).free_bytes
        if total > free:
            purposes = " and ".join(dict.fromkeys(need.purpose for need in of_disk))
            raise DiskFull(
                f"About {file_size(total)} are needed for {purposes},"
                f" the disk of {printable(str(of_disk[0].folder))} has {file_size(free)} free",
                "Free some space, process fewer videos at once, or set storage.root to another disk",
            )
