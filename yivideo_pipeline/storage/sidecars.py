"""Writes subtitle files beside the video (in a bucket too) or into a folder, never over a file of others.

A file is ours if its bytes are the ones that we last wrote there. What the user or another program wrote
or changed is left alone, and so is what we wrote for another video of the same name.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from yivideo_pipeline.errors.tree import DiskError
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.remote_paths import AnyPath

COPY_ENDINGS = (".yivideo.mkv", ".yivideo.mp4")
"""Of copies of videos with subtitles as a track: the library does not take them for videos."""
_USUAL_NAME_MAX_BYTES = 255


@dataclass(frozen=True)
class DeliveredFile:
    """A file where the user finds it, and warnings about its name."""

    path: AnyPath
    warnings: tuple[str, ...] = ()


def deliver_file(
    storage: Storage,
    source: str,
    video: AnyPath,
    suffix: str,
    data: bytes,
    output_dir: "AnyPath | None" = None,
) -> DeliveredFile:
    """Write one subtitle file for a video, under the first name that is free or ours.

    Args:
        storage: Holds the record of what was delivered.
        source: The video's partition key; it owns the file from now on.
        video: The video; the file's name begins with its stem.
        suffix: The rest of the name, such as `.en.srt`.
        data: The file's content.
        output_dir: Folder or place in a bucket to write to; without it the video's own. A folder is made.

    Raises:
        DiskError: The folder can't be made or written to.
    """
    folder = output_dir or video.parent
    try:
        if isinstance(folder, Path):  # object storage has none
            folder.mkdir(parents=True, exist_ok=True)
        name_max = _name_max_bytes(folder)
        warnings: list[str] = []
        for stem in _stems(video):
            path, shortened = _fit(folder, stem, suffix, name_max)
            blocker = _blocker(storage, path, source, data)
            if blocker is None:
                if shortened:
                    warnings.append(f"The name was too long for this folder: {path.name} was shortened")
                _write(storage, source, path, data)
                return DeliveredFile(path.absolute(), tuple(warnings))
            if blocker not in warnings:
                warnings.append(blocker)
    except OSError as error:
        raise _in_plain_words(error, folder) from error
    raise AssertionError("there is always another name")


def _stems(video: AnyPath) -> Iterator[str]:
    yield video.stem
    yield video.name  # distinguishes talk.mp4 from talk.mkv in one output folder
    yield f"{video.stem}.yivideo"
    for number in count(2):
        yield f"{video.stem}.yivideo-{number}"


def _blocker(storage: Storage, path: AnyPath, source: str, data: bytes) -> str | None:
    """Return why a name may not be used; None where it may."""
    if not (os.path.lexists(path) if isinstance(path, Path) else path.exists()):
        return None
    there = path.read_bytes() if path.is_file() else None
    record = storage.find_delivery(path.absolute())
    if there is None or record is None or record[0] != hashlib.sha256(there).hexdigest():
        if there == data:
            return None
        return f"{path.name} was not written by yivideo, or was changed since: it was left as it is"
    if record[1] != source:
        return f"{path.name} belongs to another video, {record[1]}"
    return None


def _write(storage: Storage, source: str, path: AnyPath, data: bytes) -> None:
    if not isinstance(path, Path):
        path.fs.pipe_file(path.path, data)  # an object appears whole
    elif not path.is_file() or path.read_bytes() != data:
        # A fixed name, short enough for any folder: what a killed process left is overwritten.
        part = path.with_name(f".yivideo-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}.part")
        try:
            part.write_bytes(data)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    storage.record_delivery(path.absolute(), hashlib.sha256(data).hexdigest(), source)


def _fit(folder: AnyPath, stem: str, suffix: str, name_max: int) -> tuple[AnyPath, bool]:
    """Return the path with its stem cut between characters until the name fits, and whether it was cut."""
    room = name_max - len(os.fsencode(suffix))
    if len(os.fsencode(stem)) <= room:
        return folder / f"{stem}{suffix}", False
    # Names that differ only in their tails must stay different.
    mark = "~" + hashlib.sha256(os.fsencode(stem)).hexdigest()[:6]
    while len(os.fsencode(stem)) > room - len(mark):
        stem = stem[:-1]
    return folder / f"{stem}{mark}{suffix}", True


def _name_max_bytes(folder: AnyPath) -> int:
    if not isinstance(folder, Path):
        return _USUAL_NAME_MAX_BYTES
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError):
        return _USUAL_NAME_MAX_BYTES  # not every file system reports it


def _in_plain_words(error: OSError, folder: AnyPath) -> Exception:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        reason = (os.strerror(error.errno) or "no access").lower()
        return DiskError(
            f"Subtitles can't be written to {folder} ({reason})",
            "Give another folder with --output-dir, or make this one writable",
        )
    return error
