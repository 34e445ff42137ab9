"""The files, folders and videos that a request may name: only those under the allowed folders.

Links are followed before a path is judged, and outside of the allowed folders a request never learns whether
a file exists.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from yivideo_pipeline.errors.tree import ConfigError, UnreadableMedia
from yivideo_pipeline.media.container import require_regular
from yivideo_pipeline.service.errors import SEE_DOCS, Refused
from yivideo_pipeline.settings.options import NO_MODEL_FOLDER
from yivideo_pipeline.storage.partition_keys import (
    is_outside,
    key_of,
    lies_inside,
    output_folder,
    path_of,
    resolve_inside,
)
from yivideo_pipeline.storage.remote_paths import AnyPath, to_path

log = logging.getLogger(__name__)


def resolve_file(name: str, allowed: Sequence[AnyPath]) -> Path:
    """Return the file that a request names, with all links followed.

    Args:
        name: The file's absolute path.
        allowed: The allowed folders.

    Raises:
        Refused: 422 where the path is not absolute, 403 where it lies outside, 404 where it is no file.
    """
    if "\0" in name or not Path(name).is_absolute():
        raise Refused(422, "invalid_request", "The path is not absolute", "Give the whole path of the file")
    real = resolve_inside(Path(name), allowed)
    if real is None:
        raise _outside()
    if not real.is_file():
        if real.exists():
            _refuse_irregular(real)
        raise Refused(404, "not_found", "There is no such file", "Check the path")
    return real


def _outside() -> Refused:
    return Refused(
        403,
        "path_not_allowed",
        "The file lies outside the allowed folders",
        "Put it under a library root, or add its folder to service.roots",
    )


def _refuse_irregular(real: Path) -> None:
    try:
        require_regular(real.stat().st_mode)
    except UnreadableMedia as error:
        raise Refused(404, "not_found", error.message, error.hint) from error


def resolve_video(name: str, roots: Mapping[str, AnyPath], allowed: Sequence[AnyPath]) -> str:
    """Return the partition key of the video that a request names.

    Args:
        name: The file's absolute path, the URL of an object in the library, or a partition key.
        roots: The library's folders by name.
        allowed: The allowed folders.

    Raises:
        Refused: 403 where the file lies outside, 404 where there is no such file, 422 where the name is
            neither a path nor a key.
    """
    if not name.startswith("/"):
        try:
            name = key_of(to_path(name), roots) if is_outside(name) else name
            path = path_of(name, roots)
        except ValueError as error:
            hint = "Give the whole path of the file, or its partition key"
            raise Refused(422, "invalid_request", f"video_path: {error}", hint) from error
        if is_outside(name):  # the object would be fetched with the service's rights
            raise _outside()
        if isinstance(path, Path):
            resolve_file(str(path), allowed)
        elif not path.is_file():  # an object of a library root, which no link leads out of
            raise Refused(404, "not_found", "There is no such file", "Check the name")
        return name
    # Without `..` before links are followed: the file that is checked here is the one that the run opens.
    path = Path(os.path.abspath(name))  # noqa: PTH100 - Path.resolve would follow links
    real = resolve_file(str(path), allowed)
    key = key_of(path, roots)
    # The library may be reached by a path with links in it: a video must have the same key either way.
    local = {name: root.resolve() if isinstance(root, Path) else root for name, root in roots.items()}
    return key_of(real, local) if key[0] == "/" else key


def name_to_key(name: str, roots: Mapping[str, AnyPath]) -> str:
    """Return the partition key that a path or key stands for, without looking at disk or bucket."""
    try:
        return key_of(to_path(name), roots) if is_outside(name) else name
    except (ValueError, ConfigError):
        return name  # a root itself, which is no video's name, or of object storage that is not known here


def require_output_folder(name: str, allowed: Sequence[AnyPath]) -> None:
    """Refuse a folder for subtitles outside the allowed folders; it need not exist yet.

    Raises:
        Refused: 422 where the path is not absolute, 403 where it lies outside.
    """
    folder = output_folder(name)
    if folder is None:
        raise Refused(
            422, "invalid_request", "output_params.output_dir: it is not absolute", "Give a whole path"
        )
    if not lies_inside(folder, allowed):
        raise Refused(
            403,
            "path_not_allowed",
            "output_params.output_dir lies outside the allowed folders",
            "Choose one under a library root, or add it to service.roots",
        )


def require_model_folder(name: str, configured: str, allowed: Sequence[AnyPath], field: str) -> None:
    """Refuse a model's folder that lies outside the allowed folders.

    Args:
        name: A model's name, hub id, or the whole path of its folder.
        configured: The model of the settings, which is always allowed.
        allowed: The allowed folders, that of the weights among them.
        field: The request's field that names it.

    Raises:
        Refused: 422, with the message for a folder that does not exist.
    """
    folder = Path(name)
    if name == configured or not folder.is_absolute():
        return
    if resolve_inside(folder, allowed) is None:
        log.info("refused the model folder %s: it is neither in cache.model_dir nor in service.roots", name)
        message = f"{field}: {NO_MODEL_FOLDER}"
        raise Refused(422, "invalid_request", message, SEE_DOCS)
