"""Folders of yivideo's own: what lies in them is decoded sound or a log, no video of a person's."""

from pathlib import Path

from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.storage.artifacts import Storage


def own_folders(settings: Settings) -> set[Path]:
    """Return the folders that are never searched for videos: artifacts, weights, Dagster's, logs, work."""
    own = {settings.cache.model_dir, *(settings.home / name for name in ("dagster", "logs", "tmp"))}
    artifacts = Storage(settings.storage.root, settings.home / "tmp").files.folder
    return own | ({artifacts} if artifacts else set())
