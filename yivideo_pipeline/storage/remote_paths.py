"""Places on object storage, opened by URL: `s3://bucket/folder`, `gs://…`, `az://…`.

Credentials come from where the provider's own programs look for them (environment, profile, the machine's
role), never from the settings. Nothing that was listed is kept: other machines write to the same bucket.
"""

from pathlib import Path

from upath import UPath

from yivideo_pipeline.errors.tree import ConfigError

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
