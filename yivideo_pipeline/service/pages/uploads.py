"""Stores uploaded videos in the library, a folder or a bucket: complete under their names, or not at all."""

import errno
import os
import re
import secrets
import unicodedata
from collections.abc import AsyncIterable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.settings.sections import LibrarySettings
from yivideo_pipeline.storage.partition_keys import key_of
from yivideo_pipeline.storage.remote_paths import AnyPath

if TYPE_CHECKING:
    from upath import UPath

_PART = ".yivideo-upload-"
"""Prefix of the names of unfinished uploads; the watch skips hidden files."""
_NAME_MAX_BYTES = 255
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069<>:"|?*]')
"""Control characters, marks that change the text's direction, and what other systems forbid in names."""
_UPLOAD_PART_BYTES = 8 * 1024 * 1024
"""An object is sent in parts of this size while it arrives: S3 takes 10,000 of them, 5 MB or more each."""


def clean_name(given: str, extensions: tuple[str, ...]) -> str:
    """Return the name to save a file under: the last part of the given path, without forbidden characters.

    Raises:
        Refused: 422; nothing is left of the name, it is too long, or its ending is not a video's.
    """
    name = unicodedata.normalize("NFC", given.replace("\\", "/").rpartition("/")[2])
    name = _FORBIDDEN.sub("_", name).strip().lstrip(".")
    if not name.lower().endswith(tuple(extensions)):
        raise Refused(
            422,
            "invalid_request",
            "The file name does not end like a video's",
            f"Accepted are {', '.join(extensions)}",
        )
    if len(os.fsencode(name)) > _NAME_MAX_BYTES:
        raise Refused(422, "invalid_request", "The file name is too long", "Give the file a shorter name")
    return name


async def store_upload(given: str, content: AsyncIterable[bytes], library: LibrarySettings) -> str:
    """Write a file into the library as it arrives, and give it its name once it is complete.

    Args:
        given: The file's name on the client's side.
        content: The file's bytes; the middleware limits how many.
        library: The library's roots and file extensions.

    Returns:
        The new video's partition key.

    Raises:
        Refused: 409 a file of this name exists, 422 its name is not a video's, 503 the folder or bucket is
            missing or not writable, 507 the disk is full.
    """
    final = upload_root(library) / clean_name(given, library.extensions)
    with _disk_errors():
        await run_in_threadpool(_refuse_existing, final)
        if isinstance(final, Path):
            await _store_file(final, content)
        else:
            await _store_object(final, content)
    return key_of(final, library.roots)


async def _store_file(final: Path, content: AsyncIterable[bytes]) -> None:
    part = final.with_name(f"{_PART}{secrets.token_hex(8)}.part")
    try:
        with await run_in_threadpool(lambda: part.open("xb")) as file:
            async for piece in content:
                await run_in_threadpool(file.write, piece)
        await run_in_threadpool(_publish, part, final)
    finally:
        await run_in_threadpool(part.unlink, True)


async def _store_object(final: "UPath", content: AsyncIterable[bytes]) -> None:
    """Send an object in parts; it appears with the last one, unless another has got its name meanwhile."""
    file = await run_in_threadpool(lambda: final.fs.open(final.path, "xb", block_size=_UPLOAD_PART_BYTES))
    try:
        async for piece in content:
            await run_in_threadpool(file.write, piece)
        await run_in_threadpool(file.close)
    except BaseException as error:
        file.closed = True  # what is left of it must not be sent when it is collected
        await run_in_threadpool(file.discard)
        if isinstance(error, OSError):
            await run_in_threadpool(_refuse_existing, final)
        raise


def upload_root(library: LibrarySettings) -> AnyPath:
    """Return where new videos go: the library's first root on this machine, or else its first bucket."""
    return next(iter((library.folders or library.roots).values()))


def remove_unfinished(library: LibrarySettings) -> None:
    """Remove the unfinished uploads of a service that was killed; nothing else writes files of such names."""
    for folder in library.folders.values():
        for part in folder.glob(f"{_PART}*.part"):
            part.unlink(missing_ok=True)


def _publish(part: Path, final: Path) -> None:
    """Give a complete file its name, unless another file has got it in the meantime."""
    try:
        final.touch(exist_ok=False)
    except FileExistsError:
        _refuse_existing(final)
        raise
    part.replace(final)


def _refuse_existing(final: AnyPath) -> None:
    if os.path.lexists(final) if isinstance(final, Path) else final.exists():
        raise Refused(
            409, "conflict", "The library already has a file of this name", "Give the file another name"
        )


@contextmanager
def _disk_errors() -> Generator[None]:
    """Turn errors of the library's folder or bucket into refusals."""
    try:
        yield
    except FileNotFoundError as error:
        hint = "Create the folder or bucket of the first of library.roots, or connect its disk"
        raise Refused(503, "disk", "The library's folder does not exist", hint) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refused(507, "disk_full", "The disk is full", "Free space on the library's disk") from error
        if isinstance(error, PermissionError):
            hint = "Give the service's user write access to the first of library.roots"
            raise Refused(503, "disk", "The library's folder is not writable", hint) from error
        raise
