"""Takes a video from a browser into the first library root: whole under its own name, or not at all."""

import errno
import os
import re
import secrets
import unicodedata
from collections.abc import AsyncIterable, Generator
from contextlib import contextmanager
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.storage.partition_keys import key_of

_PART = ".yivideo-upload-"
"""Begin of the names of files that are still coming; the watch passes over hidden ones."""
_NAME_MAX_BYTES = 255
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069<>:"|?*]')
"""Controls, marks that turn the direction of text, and what other systems' file names may not have."""


def clean_name(given: str, extensions: tuple[str, ...]) -> str:
    """Return the name that a file is kept under: its last part, without what file names may not have.

    Raises:
        Refused: 422; nothing is left of it, it is too long, or it is no video's.
    """
    name = unicodedata.normalize("NFC", given.replace("\\", "/").rpartition("/")[2])
    name = _FORBIDDEN.sub("_", name).strip().lstrip(".")
    if not name.lower().endswith(tuple(extensions)):
        raise Refused(
            422, "invalid_request", "This is no video by its ending", f"Taken are {', '.join(extensions)}"
        )
    if len(os.fsencode(name)) > _NAME_MAX_BYTES:
        raise Refused(422, "invalid_request", "The name is too long", "Give the file a shorter name")
    return name


async def take(given: str, content: AsyncIterable[bytes], settings: Settings) -> str:
    """Write a file into the first library root as it comes, and give it its name once it is whole.

    Args:
        given: The name that it has where it comes from.
        content: Its bytes; the app has bounded how many.
        settings: Say where the library is.

    Returns:
        The new video's partition key.

    Raises:
        Refused: 409 there is a file of this name, 422 it is no video's, 503 no such folder, 507 no room.
    """
    root = upload_root(settings)
    final = root / clean_name(given, settings.library.extensions)
    _refuse_existing(final)
    part = root / f"{_PART}{secrets.token_hex(8)}.part"
    with _room_told():
        try:
            with await run_in_threadpool(lambda: part.open("xb")) as file:
                async for piece in content:
                    await run_in_threadpool(file.write, piece)
            await run_in_threadpool(_name, part, final)
        finally:
            await run_in_threadpool(part.unlink, True)
    return key_of(final, settings.library.roots)


def upload_root(settings: Settings) -> Path:
    """Return the folder that uploads go to: the library's first root."""
    return next(iter(settings.library.roots.values()))


def remove_remains(settings: Settings) -> None:
    """Remove what a service that was killed had not taken whole; nobody else writes files of such names."""
    for part in upload_root(settings).glob(f"{_PART}*.part"):
        part.unlink(missing_ok=True)


def _name(part: Path, final: Path) -> None:
    """Give a whole file its name; another one may have come by it meanwhile."""
    try:
        final.touch(exist_ok=False)
    except FileExistsError:
        _refuse_existing(final)
        raise
    part.replace(final)


def _refuse_existing(final: Path) -> None:
    if os.path.lexists(final):
        raise Refused(409, "conflict", "The library has a file of this name", "Give the file another name")


@contextmanager
def _room_told() -> Generator[None]:
    try:
        yield
    except FileNotFoundError as error:
        hint = "Make the folder of the first of library.roots, or connect its disk"
        raise Refused(503, "disk", "The library's folder is not there", hint) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refused(
                507, "disk_full", "There is no room for the file", "Make room on the disk"
            ) from error
        if isinstance(error, PermissionError):
            hint = "Let the service's user write to the first of library.roots"
            raise Refused(503, "disk", "The library's folder can't be written to", hint) from error
        raise
