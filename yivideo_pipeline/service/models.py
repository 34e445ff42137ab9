"""The one model of the service, and the settings that say which one it is."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yivideo_pipeline.settings.diff import Change, diff_settings
from yivideo_pipeline.settings.environment import apply_environment
from yivideo_pipeline.settings.hardware import probe_hardware
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.rules import resolve
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.speech.load import load_engine
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.manager import ModelManager


@dataclass(frozen=True)
class Reloaded:
    """What a reload found: the settings that differ, and whether the next request loads another model."""

    changes: tuple[Change, ...]

    @property
    def needs_load(self) -> bool:
        """Whether one of the changes needs another load."""
        return any(change.needs_reload for change in self.changes)


class Models:
    """Owns the process's one model and the settings; a change of them takes hold with the next request.

    Args:
        settings: As they are at the start.
        config: The settings file, read again by `reload`.
    """

    def __init__(self, settings: Settings, config: Path | None = None) -> None:
        self._settings = settings
        self._config = config
        self._lock = threading.Lock()
        self.manager = ModelManager(
            self._load, options=lambda: self._settings.speech, idle_unload_s=settings.service.idle_unload_s
        )

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self._settings

    @property
    def local(self) -> LocalSpeech:
        """What is known of options before anything is loaded."""
        return LocalSpeech(self._settings, self.manager)

    @contextmanager
    def lease(self, options: SpeechOptions) -> Generator[ResidentEngine]:
        """Lend the engine for these options, loading its model where it is not loaded.

        Raises:
            YivideoError: the model can't be loaded.
        """
        with self.manager.lease(options) as engine:
            yield engine

    def reload(self) -> Reloaded:
        """Read the settings again; requests that are in work finish with the old ones.

        Raises:
            ConfigError: the file can't be read.
            ConfigValidationError: what it says can't be, also on this machine; the old settings stay.
        """
        with self._lock:
            fresh = load_settings(self._config)
            resolve(fresh.speech, probe_hardware())
            changes = tuple(diff_settings(self._settings, fresh))
            apply_environment(fresh)
            self._settings = fresh
        return Reloaded(changes)

    def close(self) -> None:
        """Unload once the work of now has ended."""
        self.manager.close()

    def _load(self, options: SpeechOptions) -> ResidentEngine:
        settings = self._settings
        token = settings.hub.read_token()
        return load_engine(
            options,
            settings.cache.model_dir,
            token=token.get_secret_value() if token else None,
            offline=settings.hub.offline,
        )
