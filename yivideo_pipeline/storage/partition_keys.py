"""Partition keys: readable names for videos, which can be turned back into paths without a table.

A key is the video's path relative to its library root, with `/` between folders. What Dagster
forbids in a key (`...` and control characters), `%` itself and bytes that are not UTF-8 are
percent-encoded; everything else, such as Chinese or spaces, stays readable. Keys of videos in any but
the first root begin with the root's name (`archive:2024/talk.mp4`); the key of a video outside all
roots is its absolute path, which begins with `/`, or the URL of an object.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote_to_bytes

from yivideo_pipeline.storage.remote_paths import DRIVERS, AnyPath, kind_of, to_path

_DOTS = r"\.{3,}"
_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029"
_UNDECODABLE = "\udc80-\udcff"  # how Python represents bytes that are not UTF-8
_FORBIDDEN = re.compile(f"{_DOTS}|[%{_CONTROLS}{_UNDECODABLE}]")


def encode_key(text: str) -> str:
    """Percent-encode what a key may not contain."""
    if text.isprintable() and "%" not in text and "..." not in text:
        return text  # nearly every path of a large library: found out in a tenth of the time
    return _FORBIDDEN.sub(lambda found: _percent(found.group()), text)


def decode_key(key: str) -> str:
    """Undo `encode_key`; bytes that are not UTF-8 become Python's surrogate escapes."""
    return unquote_to_bytes(key.encode("utf-8")).decode("utf-8", "surrogateescape")


def key_of(path: AnyPath, roots: Mapping[str, AnyPath]) -> str:
    """Return the partition key of a video.

    Args:
        path: The video, absolute or relative to the working folder, or an object; it need not exist.
        roots: Library roots by name; keys don't name the first.

    Raises:
        ValueError: The path is a library root itself.
    """
    absolute = absolute_path(path)
    places = {name: absolute_path(root) for name, root in roots.items()}
    containing = {name: root for name, root in places.items() if is_below(absolute, root)}
    if not containing:
        return encode_key(absolute.as_posix() if isinstance(absolute, Path) else str(absolute))
    name = max(containing, key=lambda name: len(containing[name].parts))
    relative = path_below(absolute, containing[name])
    if not relative:
        raise ValueError(f"{path} is the library root {name!r}, not a video in it")
    return key_below(name, relative, roots)


def key_below(name: str, relative: str, roots: Mapping[str, AnyPath]) -> str:
    """Return the partition key of a video that lies in the named root, at a path relative to it."""
    key = encode_key(relative)
    if name != next(iter(roots)):
        return f"{name}:{key}"
    if ":" not in key:
        return key
    # A colon in the first folder's name could be taken for the end of a root's name, even of a root
    # that is added later.
    first, slash, rest = key.partition("/")
    return first.replace(":", "%3A") + slash + rest


def path_of(key: str, roots: Mapping[str, AnyPath]) -> AnyPath:
    """Return the path that a partition key stands for; the file or object need not exist.

    Raises:
        ValueError: The key is empty, names a missing root, or would lead out of its root.
        ConfigError: It is the URL of an object for which there is no driver, or which holds a key.
    """
    if is_outside(key):
        return to_path(decode_key(key))
    name, relative = place_of(key, roots)
    return absolute_path(roots[name]) / relative.as_posix()


def is_outside(key: str) -> bool:
    """Return whether a partition key is a whole path or URL: its video lies in no library root.

    No key of a root looks like this: what follows the root's name is never a path from `/` on.
    """
    return key.startswith("/") or kind_of(key) in DRIVERS


def place_of(key: str, roots: Mapping[str, AnyPath]) -> tuple[str, Path]:
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


def resolve_inside(path: Path, folders: Iterable[AnyPath]) -> Path | None:
    """Return a path with all links followed; None where it leads out of the folders. It need not exist."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):  # too long, a ring of links, or text that is no path
        return None
    local = (folder.resolve() for folder in folders if isinstance(folder, Path))
    return real if any(real.is_relative_to(folder) for folder in local) else None


def output_folder(name: str) -> "AnyPath | None":
    """Return the folder, or place in a bucket, that a launch names for its subtitles; None for others."""
    if "\0" in name:
        return None
    folder = to_path(name)
    return absolute_path(folder) if not isinstance(folder, Path) or folder.is_absolute() else None


def lies_inside(place: AnyPath, folders: Iterable[AnyPath]) -> bool:
    """Return whether a place lies in one of the folders, also when all links are followed."""
    if isinstance(place, Path):
        return resolve_inside(place, folders) is not None
    # Buckets have no links, but programs that make files of objects follow dots.
    names = place.path.rstrip("/").split("/")
    return not {"", ".", ".."} & set(names) and any(is_below(place, folder) for folder in folders)


def absolute_path(path: AnyPath) -> AnyPath:
    """Return a path from the root on; links stay links: a library of links to videos has the links' names."""
    if not isinstance(path, Path):
        return path
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links


def is_below(path: AnyPath, folder: AnyPath) -> bool:
    """Return whether an absolute path is a folder or lies in it; an object never lies in a local folder."""
    if isinstance(path, Path) or isinstance(folder, Path):
        return isinstance(path, Path) and isinstance(folder, Path) and path.is_relative_to(folder)
    # By their URLs: the same place opened with other options of its driver is another object.
    return f"{path}/".startswith(f"{str(folder).rstrip('/')}/")


def path_below(path: AnyPath, folder: AnyPath) -> str:
    """Return a path relative to a folder that it lies in, with `/` between names; "" is the folder itself."""
    if isinstance(path, Path) and isinstance(folder, Path):
        relative = path.relative_to(folder).as_posix()
        return "" if relative == "." else relative
    return str(path).removeprefix(str(folder)).strip("/")


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogateescape"))
