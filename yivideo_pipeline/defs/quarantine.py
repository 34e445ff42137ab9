"""When a video is set aside: nothing takes it up by itself until its file changes or somebody says so."""

import os

from yivideo_pipeline.defs.stage import Tools
from yivideo_pipeline.errors.tree import (
    ConfigError,
    DiskError,
    MediaError,
    ModelLoadError,
    ServiceUnreachable,
    TaskCancelled,
    YivideoError,
)
from yivideo_pipeline.ledger.failures import Failed

NOT_THE_VIDEOS_FAULT = (ConfigError, DiskError, ModelLoadError, ServiceUnreachable, TaskCancelled)
"""They fail every video alike: to count them would set the whole library aside over a full disk."""


def quarantine_if_due(tools: Tools, failed: Failed, error: YivideoError) -> bool:
    """Set a video aside where its failure says so; returns whether it is set aside now."""
    failures = tools.ledger.failures
    if not _is_due(tools, failed.key, error):
        return failures.find_quarantined(failed.key) is not None
    state = _state_of(tools, failed.key)
    failures.quarantine(failed.key, failed, state.st_size if state else 0, state.st_mtime_ns if state else 0)
    return True


def _is_due(tools: Tools, key: str, error: YivideoError) -> bool:
    if isinstance(error, MediaError):  # it does not get better by itself
        return True
    if isinstance(error, NOT_THE_VIDEOS_FAULT):
        return False
    after = tools.launch.settings.runs.quarantine_after
    return tools.ledger.failures.streak(key) >= after or tools.ledger.workers.deaths().get(key, 0) >= after


def _state_of(tools: Tools, key: str) -> os.stat_result | None:
    try:
        return tools.library.path_of(key).stat()
    except (DiskError, OSError):  # a file that comes back is another one than none
        return None
