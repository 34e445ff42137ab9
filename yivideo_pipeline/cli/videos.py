"""Finds the videos that a command line names."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from yivideo_pipeline.cli.console import printable
from yivideo_pipeline.cli.exits import WrongUsage
from yivideo_pipeline.errors.disk import disk_error
from yivideo_pipeline.errors.tree import DiskError, YivideoError


@dataclass(frozen=True)
class Found:
    """The videos in order, each once, and the folders that could not be looked into."""

    videos: tuple[Path, ...]
    closed: tuple[tuple[Path, YivideoError], ...]


def find_videos(paths: Sequence[Path], extensions: Collection[str], ours: Collection[Path]) -> Found:
    """Find videos: files are taken as they are, folders searched to their bottom for the extensions.

    Hidden files and folders are passed over, and so are links to folders.

    Args:
        paths: Files and folders.
        extensions: Endings of files that are taken for videos, in lower case, with the dot.
        ours: Folders of yivideo's own, in which decoded sound lies; passed over too.

    Raises:
        WrongUsage: a path is not there, or there is no video in any of them.
    """
    missing = [path for path in paths if not os.path.lexists(path)]
    if missing:
        names = ", ".join(printable(str(path)) for path in missing)
        raise WrongUsage(f"There is no {names}", "Check the path")
    videos: dict[Path, None] = {}
    closed: list[tuple[Path, YivideoError]] = []
    for path in map(_absolute, paths):
        found = _search(path, tuple(extensions), set(ours), closed) if path.is_dir() else [path]
        videos.update(dict.fromkeys(found))
    if not videos and not closed:
        raise WrongUsage(
            "There is no video in " + ", ".join(printable(str(path)) for path in paths),
            "Known endings are library.extensions of the settings; a file given by name is always taken",
        )
    return Found(tuple(videos), tuple(closed))


def _search(
    top: Path, extensions: tuple[str, ...], ours: set[Path], closed: list[tuple[Path, YivideoError]]
) -> list[Path]:
    def note(error: OSError) -> None:
        known = disk_error(error) or DiskError(f"The folder can't be read ({error.strerror})")
        closed.append((Path(error.filename), known))

    found: list[Path] = []
    for folder, below, names in os.walk(top, onerror=note):
        below[:] = sorted(
            name for name in below if not name.startswith(".") and Path(folder, name) not in ours
        )
        found += [
            Path(folder, name)
            for name in sorted(names)
            if name.lower().endswith(extensions) and not name.startswith(".")
        ]
    return found


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
