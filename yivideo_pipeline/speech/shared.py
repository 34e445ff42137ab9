"""The model manager that all of a process shares."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.loading import load_engine
from yivideo_pipeline.speech.manager import ModelManager

_making = threading.Lock()
_managers: dict[tuple[Path, str | None, bool], ModelManager] = {}


def shared_manager(
    model_dir: Path,
    *,
    token: str | None = None,
    offline: bool = False,
    options: Callable[[], SpeechOptions] = SpeechOptions,
) -> ModelManager:
    """Return the process's manager of the weights in a folder, always the same one.

    Args:
        model_dir: Folder of all weights.
        token: Hugging Face token for private or gated models.
        offline: Never ask the hub.
        options: Asked for the options of leases that name none; that of the first call stays.
    """
    with _making:
        key = (model_dir, token, offline)
        if key not in _managers:
            load = partial(load_engine, model_dir=model_dir, token=token, offline=offline)
            _managers[key] = ModelManager(load, options)
        return _managers[key]
