"""Partition keys: readable names for videos, which can be turned back into paths without a table.

A key is the video's path relative to its library root, with `/` between folders. What Dagster
forbids in a key (`...` and control characters), `%` itself and bytes that are not UTF-8 are
percent-encoded; everything else, such as Chinese or spaces, stays readable. Keys of videos in any but
the first root begin with the root's name (`archive:2024/talk.mp4`); the key of a video outside all
roots is its absolute path, which begins with `/`.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote_to_bytes

_DOTS = r"\.{3,}"
_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_UNDECODABLE = "\udc80-\udcff"  # how Python represents bytes that are not UTF-8
_FORBIDDEN = re.compile(f"{_DOTS}|[%{_CONTROLS}{_UNDECODABLE}]")


def encode_key(text: str) -> str:
    """Percent-encode what a key may not contain."""
    return _FORBIDDEN.sub(lambda found: _percent(found.group()), text)


def decode_key(key: str) -> str:
    """Undo `encode_key`; bytes that are not UTF-8 become Python's surrogate escapes."""
    return unquote_to_bytes(key.encode("utf-8")).decode("utf-8", "surrogateescape")


def key_of(path: Path, roots: Mapping[str, Path]) -> str:
    """Return the partition key of a video.

    Args:
        path: The video, absolute or relative to the working folder; it need not exist.
        roots: Library roots by name; keys don't name the first.

    Raises:
        ValueError: The path is a library root itself.
    """
    # Links are not resolved: a library of links to videos has the links' names.
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
    containing = {name: root for name, root in roots.items() if absolute.is_relative_to(_absolute(root))}
    if not containing:
        return encode_key(absolute.as_posix())
    name = max(containing, key=lambda name: len(_absolute(containing[name]).parts))
    relative = absolute.relative_to(_absolute(containing[name]))
    if relative == Path():
        raise ValueError(f"{path} is the library root {name!r}, not a video in it")
    return key_below(name, relative.as_posix(), roots)


def key_below(name: str, relative: str, roots: Mapping[str, Path]) -> str:
    """Return the partition key of a video that lies in the named root, at a path relative to it."""
    key = encode_key(relative)
    if name != next(iter(roots)):
        return f"{name}:{key}"
    # A colon in the first folder's name could be taken for the end of a root's name, even of a root
    # that is added later.
    first, slash, rest = key.partition("/")
    return first.replace(":", "%3A") + slash + rest


def path_of(key: str, roots: Mapping[str, Path]) -> Path:
    """Return the path that a partition key stands for; the file need not exist.

    Raises:
        ValueError: The key is empty, names a missing root, or would lead out of its root.
    """
    if key.startswith("/"):
        return Path(decode_key(key))
    name, relative = place_of(key, roots)
    return _absolute(roots[name]) / relative


def place_of(key: str, roots: Mapping[str, Path]) -> tuple[str, Path]:
    """Return the root, by name, that a partition key lies in, and the path relative to it.

    Raises:
        ValueError: The key is empty, names a missing root, or would lead out of its root.
    """
    first = next(iter(roots), None)
    name, colon, rest = key.partition(":")
    if not (colon and "/" not in name):
        name, rest = first, key
    if name is None or name not in roots:
        raise ValueError(f"{key!r} is in no library: the roots are {', '.join(roots) or 'none'}")
    relative = Path(decode_key(rest))
    if not relative.parts or relative.is_absolute() or ".." in relative.parts:
        raise ValueError(f"{key!r} names no video inside the library root {name!r}")
    return name, relative


def resolve_inside(path: Path, folders: Iterable[Path]) -> Path | None:
    """Return a path with all links followed; None where it leads out of the folders. It need not exist."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):  # too long, a ring of links, or text that is no path
        return None
    return real if any(real.is_relative_to(folder.resolve()) for folder in folders) else None


def _absolute(root: Path) -> Path:
    return Path(os.path.abspath(root))  # noqa: PTH100 - Path.resolve would follow links


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))
