"""The identity of a video's content."""

import hashlib
from collections.abc import Callable
from pathlib import Path

_CHUNK_BYTES = 4 * 1024 * 1024


def content_hash(path: Path, progress: Callable[[float], None] | None = None) -> str:
    """Hash the whole file with SHA-256, as hexadecimal digits.

    All of it, not a sample of it: two recordings may differ in a minute only.

    Args:
        path: The file.
        progress: Told how much is done, 0 to 1.

    Raises:
        OSError: the file can't be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = path.stat().st_size
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            if progress:
                progress(min(1.0, file.tell() / size))
    return digest.hexdigest()
