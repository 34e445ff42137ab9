"""Hands settings to huggingface_hub and transformers, which read them from the environment."""

import os
import sys
from collections.abc import MutableMapping

from yivideo_pipeline.errors.tree import DiskError
from yivideo_pipeline.settings.settings import Settings


def apply_environment(settings: Settings, environ: MutableMapping[str, str] | None = None) -> None:
    """Make the cache folders, and pass token, caches and offline mode to huggingface_hub and transformers.

    Call it once, at an edge of the program, before those libraries are imported. huggingface_hub fixes
    its offline mode and cache folder at import; if it was imported before, they are set there too.
    Variables whose setting is unset keep their values.

    Raises:
        ConfigError: The token file can't be read.
        DiskError: A cache folder can't be made.
    """
    environ = os.environ if environ is None else environ
    cache, hub = settings.cache, settings.hub
    for folder in filter(None, (cache.model_dir, cache.hf_home, cache.transformers_cache)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(
                f"The cache folder {folder} can't be made ({error.strerror})",
                "Set cache.model_dir, cache.hf_home and cache.transformers_cache to folders you may write",
            ) from error
    token = hub.read_token()
    values = {
        "HF_TOKEN": token.get_secret_value() if token else None,
        "HF_HOME": str(cache.hf_home) if cache.hf_home else None,
        "TRANSFORMERS_CACHE": str(cache.transformers_cache) if cache.transformers_cache else None,
        "HF_HUB_OFFLINE": "1" if hub.offline else "0",
        "TRANSFORMERS_OFFLINE": "1" if hub.offline else "0",
    }
    environ.update({name: value for name, value in values.items() if value is not None})
    _correct_imported_hub(settings)


def _correct_imported_hub(settings: Settings) -> None:
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is None:
        return
    constants.__dict__["HF_HUB_OFFLINE"] = settings.hub.offline
    if settings.cache.hf_home is not None:
        constants.__dict__["HF_HUB_CACHE"] = str(settings.cache.hf_home / "hub")
