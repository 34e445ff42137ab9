"""Whether folders can be written, and whether the disks below them have room enough."""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from yivideo_pipeline.cli.console import printable
from yivideo_pipeline.errors.tree import DiskError, DiskFull

AUDIO_BYTES_PER_S = 32_000
"""Decoded sound: 16,000 samples a second of two bytes."""
LEAST_FREE_BYTES = 2**20
"""Room for subtitles, records and the like."""


@dataclass(frozen=True)
class Need:
    """Bytes that will be written to a folder, which is there, and what they are for."""

    folder: Path
    size_bytes: int
    purpose: str


def require_writable(folder: Path, advice: str) -> None:
    """Make the folder where it is missing, and write a nameless file into it.

    Permissions alone don't tell: a mount may be read-only, a network share may refuse root.

    Raises:
        DiskError: it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "it is a file, or below one" if is_file else error.strerror or str(error)
        raise DiskError(f"{printable(str(folder))} can't be written ({reason})", advice) from error


def require_space(needs: Iterable[Need]) -> None:
    """Check that every disk has room for all that will be written to it.

    Raises:
        DiskFull: one has not.
    """
    by_disk: dict[int, list[Need]] = {}
    for need in needs:
        by_disk.setdefault(need.folder.stat().st_dev, []).append(need)
    for wanted in by_disk.values():
        total = sum(need.size_bytes for need in wanted) + LEAST_FREE_BYTES
        free = shutil.disk_usage(wanted[0].folder).free
        if total > free:
            purposes = " and ".join(dict.fromkeys(need.purpose for need in wanted))
            raise DiskFull(
                f"About {megabytes(total)} are needed for {purposes},"
                f" the disk of {printable(str(wanted[0].folder))} has {megabytes(free)} free",
                "Free some space, process fewer videos at once, or set storage.root to another disk",
            )


def megabytes(size_bytes: int) -> str:
    """Write a size as MB or GB."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{max(size_bytes, 1e5) / 1e6:.1f} MB"
