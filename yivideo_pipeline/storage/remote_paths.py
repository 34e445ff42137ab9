"""Places on object storage, opened by URL: `s3://bucket/folder`, `gs://…`, `az://…`.

Credentials come from where the provider's own programs look for them (environment, profile, the machine's
role), never from the settings. Nothing that was listed is kept: other machines write to the same bucket.
"""

import errno
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

from yivideo_pipeline.errors.tree import ConfigError

if TYPE_CHECKING:  # it takes 0.1 s to import, and most libraries are folders
    from upath import UPath

AnyPath: TypeAlias = "Path | UPath"
"""A path of this machine, or an object's."""
BLOCK_BYTES = 4 * 1024 * 1024
"""An object is read by ranges of about this size: a probe takes a few of them."""
S3_ATTEMPTS = 10
"""The waits between them grow up to 20 s: some 50 s in all."""
_CHANGED = ("LastModified", "updated", "last_modified")
"""Names of the time of change, as S3's, Google's and Azure's drivers list an object."""
DRIVERS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
"""Kinds of object storage, and the extra of this package that has the driver."""
_URL = re.compile(r"(\w+):/+(.+)", re.DOTALL)


def open_place(url: str | Path) -> AnyPath:
    """Return a folder or URL as a path; nothing is asked over the network yet.

    Raises:
        ConfigError: No driver for this kind of URL is installed, or there is none.
    """
    kind = kind_of(url)
    if not kind:
        return Path(str(url).removeprefix("file://").removeprefix("local://"))
    from upath import UPath

    # Else gcsfs asks each bucket for its layout over gRPC before each request, and keeps no refusal in mind.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        path = UPath(str(url).rstrip("/"), use_listings_cache=False, **_options_of(kind))
        _ = path.fs
    except ImportError as error:
        extra = DRIVERS.get(kind)
        package = f"'yivideo-pipeline[{extra}]'" if extra else "the package that fsspec names for it"
        raise ConfigError(f"The driver for {kind}:// is not installed", f"pip install {package}") from error
    except ValueError as error:
        raise ConfigError(
            f"{url} is of a kind that is not known", f"Use a folder, or {', '.join(DRIVERS)}://…"
        ) from error
    if kind == "s3":
        _read_times_quickly()
    return path


def _read_times_quickly() -> None:
    """Have S3's client parse the times of listed objects by the standard library.

    dateutil, which it uses, guesses the form of each: three quarters of the processor time of a listing. The
    client's sessions have an option for it, but drivers make those by themselves, one for each thread.
    """
    from botocore import parsers

    parsers.DEFAULT_TIMESTAMP_PARSER = _parse_time  # ty: ignore[invalid-assignment]


def _parse_time(value: Any) -> datetime:
    from botocore.utils import parse_timestamp

    try:
        time = datetime.fromisoformat(value)  # as in listings
    except (TypeError, ValueError):
        time = None  # as in headers
    return time if time and time.tzinfo else parse_timestamp(value)


def _options_of(kind: str) -> dict[str, Any]:
    """Return a driver's options: S3's would give up after 4 s without an answer; so it waits half a minute.

    The environment's own limits stand.
    """
    if kind != "s3" or {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} & set(os.environ):
        return {}
    # By this name botocore leaves the options as they are: paths with the same ones are equal.
    return {"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": S3_ATTEMPTS + 1}}}


def kind_of(url: str | Path) -> str:
    """Return the scheme of a URL; empty for a folder of this machine, also as `file://`."""
    scheme, colon, _ = str(url).partition("://")
    return scheme if colon and scheme not in ("file", "local") else ""


def to_path(name: str | PathLike[str]) -> AnyPath:
    """Return the path that a name stands for: an object's where it is the URL of one.

    A `Path` made of a URL has lost one of its slashes, and stands for the same.

    Raises:
        ConfigError: No driver for this kind of object storage is installed, or the URL holds a key.
    """
    url = _URL.fullmatch(str(name))
    if not (url and url[1] in DRIVERS):
        return Path(name)
    if "@" in url[2].partition("/")[0]:
        raise ConfigError("Keys don't belong in an address", "Give them in the environment")
    return open_place(f"{url[1]}://{url[2]}")


def read_stamp(path: AnyPath) -> tuple[int, int]:
    """Return the bytes and the time of change (nanoseconds) of a file or object.

    Raises:
        OSError: There is none, or it can't be asked about.
    """
    if isinstance(path, Path):
        found = path.stat()
        return found.st_size, found.st_mtime_ns
    return stamp_of(path.fs.info(path.path))


def stamp_of(listed: Mapping[str, Any]) -> tuple[int, int]:
    """Return the bytes and the time of change (nanoseconds) of an object as a driver lists it."""
    changed = next((listed[name] for name in _CHANGED if listed.get(name)), None)
    if isinstance(changed, str):
        changed = datetime.fromisoformat(changed)
    return listed["size"], round(changed.timestamp()) * 10**9 if changed else 0


def version_of(path: "UPath") -> list[int | str]:
    """Return what is another for each version of an object: its bytes, time of change and ETag.

    Raises:
        OSError: There is none, or it can't be asked about.
    """
    return _version_in(path.fs.info(path.path))


def _version_in(listed: Mapping[str, Any]) -> list[int | str]:
    return [*stamp_of(listed), str(listed.get("ETag") or listed.get("etag") or "")]


def require_bucket(place: "UPath") -> None:
    """Ask whether the bucket of a place exists.

    Raises:
        FileNotFoundError: It does not.
        Exception: The driver's own, where the storage does not answer; `classify` knows them.
    """
    with suppress(PermissionError):  # a key for the objects alone need not see the bucket
        place.fs.info(place.path.partition("/")[0])


def open_bytes(path: AnyPath, buffering: int = -1) -> BinaryIO:
    """Open a file or an object for reading; of an object ranges are fetched as they are read.

    Reading fails where the object was replaced since it was opened.

    Args:
        path: What is opened.
        buffering: Of a file, as of Python's `open`.
    """
    if isinstance(path, Path):
        return path.open("rb", buffering)
    file = path.fs.open(path.path, "rb", block_size=BLOCK_BYTES, cache_type="readahead")
    if kind_of(str(path)) != "s3":  # whose driver names the version in each request
        _require_one_version(file, path)
    return cast(BinaryIO, file)


def _require_one_version(file: Any, path: "UPath") -> None:
    """Have an open object ask, behind each range, whether that was still of the version that was opened."""
    opened, fetch = _version_in(file.details), file.cache.fetcher

    def fetch_same(start: int, end: int) -> bytes:
        data = fetch(start, end)
        if version_of(path) != opened:
            raise OSError(errno.EBUSY, f"{path} was replaced while it was read")
        return data

    file.cache.fetcher = fetch_same
