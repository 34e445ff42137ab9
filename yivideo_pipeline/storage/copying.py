"""Copies all artifacts and edits to another root, such as object storage, while nothing writes to either."""

import shutil
from collections.abc import Callable

from yivideo_pipeline.storage.file_store import FileStore

_MANIFEST = "/manifest.json"


def copy_files(source: FileStore, target: FileStore, on_file: Callable[[], None]) -> int:
    """Copy the files that the target lacks; what an interrupted copy left is completed by the next one.

    Manifests come last: an artifact without one is not there. Files of an artifact lie by its content, so one
    of the same size is the same; what is small and changes in place (references, edits) is always copied.

    Returns:
        How many files were copied.
    """
    copied = 0
    for name in sorted(source.names(), key=lambda name: (name.endswith(_MANIFEST), name)):
        is_content = name.startswith("videos/") and not name.endswith(_MANIFEST)
        if not (is_content and target.size(name) == source.size(name)):
            with source.local_copy(name) as local, target.scratch() as work:
                target.put(name, shutil.copyfile(local, work / "data"))
            copied += 1
        on_file()
    return copied
