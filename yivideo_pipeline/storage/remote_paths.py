"""Places on object storage, opened by URL: `s3://bucket/folder`, `gs://…`, `az://…`.

Credentials come from where the provider's own programs look for them (environment, profile, the machine's
role), never from the settings. Nothing that was listed is kept: other machines write to the same bucket.
"""

from os import PathLike
from pathlib import Path
from typing import BinaryIO, cast

from upath import UPath

from yivideo_pipeline.errors.tree import ConfigError

AnyPath = Path | UPath
"""A path of this machine, or an object's."""
BLOCK_BYTES = 4 * 1024 * 1024
"""An object is read by ranges of about this size: a probe takes a few of them."""
DRIVERS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
"""Kinds of object storage, and the extra of this package that has the driver."""


def open_place(url: str | Path) -> UPath:
    """Return a folder or URL as a path; nothing is asked over the network yet.

    Raises:
        ConfigError: No driver for this kind of URL is installed, or there is none.
    """
    kind = kind_of(url)
    if not kind:
        return UPath(url)
    try:
        path = UPath(url, use_listings_cache=False)
        _ = path.fs
    except ImportError as error:
        extra = DRIVERS.get(kind)
        package = f"'yivideo-pipeline[{extra}]'" if extra else "the package that fsspec names for it"
        raise ConfigError(f"The driver for {kind}:// is not installed", f"pip install {package}") from error
    except ValueError as error:
        raise ConfigError(
            f"{url} is of a kind that is not known", f"Use a folder, or {', '.join(DRIVERS)}://…"
        ) from error
    return path


def kind_of(url: str | Path) -> str:
    """Return the scheme of a URL; empty for a folder of this machine, also as `file://`."""
    scheme, colon, _ = str(url).partition("://")
    return scheme if colon and scheme not in ("file", "local") else ""


def to_path(name: str | PathLike[str] | UPath) -> AnyPath:
    """Return the path that a name stands for: an object's where it is a URL.

    Raises:
        ConfigError: No driver for this kind of URL is installed, or there is none.
    """
    if isinstance(name, UPath):
        return name
    return open_place(str(name)) if kind_of(str(name)) else Path(name)


def open_bytes(path: AnyPath, buffering: int = -1) -> BinaryIO:
    """Open a file or an object for reading; of an object ranges are fetched as they are read.

    Reading fails where the object was replaced since it was opened.

    Args:
        path: What is opened.
        buffering: Of a file, as of Python's `open`.
    """
    if isinstance(path, Path):
        return path.open("rb", buffering)
    return cast(BinaryIO, path.fs.open(path.path, "rb", block_size=BLOCK_BYTES, cache_type="readahead"))
