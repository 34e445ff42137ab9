"""Files that a request may name: those under the allowed folders, whatever links there are on the way."""

import logging
from pathlib import Path

from yivideo_pipeline.service.errors import SEE_DOCS, Refused
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.options import NO_MODEL_FOLDER

log = logging.getLogger(__name__)


def allowed_roots(settings: Settings) -> tuple[Path, ...]:
    """Return the folders from which files may be named: the library's, and those the settings add."""
    return (*settings.library.roots.values(), *settings.service.roots)


def require_allowed_model(name: str, settings: Settings, where: str) -> None:
    """Refuse a model's folder that lies neither among the weights nor in an allowed folder.

    Args:
        name: A model's name, hub id, or the whole path of its folder.
        settings: Say which model is configured, and which folders are allowed.
        where: The field of the request that names it.

    Raises:
        Refused: 422, in the words of a folder that does not exist: nobody finds out by it which there are.
    """
    folder = Path(name)
    if name == settings.speech.model_name or not folder.is_absolute():
        return
    roots = [root.resolve() for root in (settings.cache.model_dir, *allowed_roots(settings))]
    if not any(folder.resolve().is_relative_to(root) for root in roots):
        message = f"{where}: Value error, {NO_MODEL_FOLDER}"
        log.info("a model's folder is taken from cache.model_dir and service.roots alone, not %s", name)
        raise Refused(422, "invalid_request", message, SEE_DOCS)


def resolve_allowed(name: str, settings: Settings, also: tuple[Path, ...] = ()) -> Path:
    """Return the file that a request names, with all links followed.

    Args:
        name: An absolute path.
        settings: Say which folders are allowed.
        also: Further allowed folders.

    Raises:
        Refused: 403 where it lies outside, 404 where it is no file. Outside of the allowed folders it is
            never said whether a file exists.
    """
    roots = [root.resolve() for root in (*allowed_roots(settings), *also)]
    path = Path(name)
    if "\0" in name or not path.is_absolute():
        raise Refused(422, "invalid_request", "The path is not absolute", "Give the whole path of the file")
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):  # too long, links in a ring, no text that a name can be
        real = None
    if real is None or not any(real.is_relative_to(root) for root in roots):
        raise Refused(
            403,
            "path_not_allowed",
            "The file lies outside the allowed folders",
            "Put it under a library root, or add its folder to service.roots",
        )
    if not real.is_file():
        raise Refused(404, "not_found", "There is no such file", "Check the path")
    return real
