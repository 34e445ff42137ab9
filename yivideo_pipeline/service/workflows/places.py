"""The video that a request names, by its path or its partition key, and the folder for its subtitles."""

import os
from pathlib import Path

from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.paths import allowed_roots, resolve_allowed
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.storage.partition_keys import key_of, path_of


def find_video(name: str, settings: Settings) -> str:
    """Return the partition key of the video that a request names.

    Args:
        name: The file's absolute path, or its partition key.
        settings: Say which folders are allowed.

    Raises:
        Refused: 403 where it lies outside of the allowed folders, 404 where there is no such file, 422 where
            the name can't be one.
    """
    roots = settings.library.roots
    if not name.startswith("/"):
        try:
            path = path_of(name, roots)
        except ValueError as error:
            hint = "Give the whole path of the file, or its partition key"
            raise Refused(422, "invalid_request", f"video_path: {error}", hint) from error
        resolve_allowed(str(path), settings)
        return name
    # Without `..` before links are followed: what is looked at here is what the run opens later.
    path = Path(os.path.abspath(name))  # noqa: PTH100 - Path.resolve would follow links
    real = resolve_allowed(str(path), settings)
    key = key_of(path, roots)
    # A library may be named by a path with links in it: the same video shall have one key.
    return key_of(real, {name: root.resolve() for name, root in roots.items()}) if key[0] == "/" else key


def key_named(name: str, settings: Settings) -> str:
    """Return the partition key that a name would have, without a look at the disk."""
    try:
        return key_of(Path(name), settings.library.roots) if name.startswith("/") else name
    except ValueError:
        return name  # a root: no video is called so


def check_folder(name: str, settings: Settings) -> None:
    """Let subtitles be written to an allowed folder alone; it need not be there yet.

    Raises:
        Refused: 403 where it lies outside, 422 where it is no absolute path.
    """
    if "\0" in name or not Path(name).is_absolute():
        raise Refused(
            422, "invalid_request", "output_params.output_dir: it is not absolute", "Give a whole path"
        )
    try:
        real = Path(os.path.abspath(name)).resolve()  # noqa: PTH100 - as the run reads it
    except (OSError, RuntimeError):  # a name that is too long, links in a ring
        real = None
    if real is None or not any(real.is_relative_to(root.resolve()) for root in allowed_roots(settings)):
        raise Refused(
            403,
            "path_not_allowed",
            "output_params.output_dir lies outside the allowed folders",
            "Choose one under a library root, or add it to service.roots",
        )
