"""The one model of the service, and the settings that say which one it is."""

import logging
import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from watchfiles import watch

from yivideo_pipeline.errors.tree import ConfigValidationError, YivideoError
from yivideo_pipeline.settings.environment import apply_environment
from yivideo_pipeline.settings.load import config_places, load_settings
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.show import SettingChange, diff_settings
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.speech.loading import LocalSpeech, load_engine
from yivideo_pipeline.speech.manager import ModelManager

log = logging.getLogger(__name__)

_FIXED_OF_SERVICE = ("host", "port", "api_key", "max_requests")
FIXED = frozenset({"home", "storage.root", *(f"service.{name}" for name in _FIXED_OF_SERVICE)})
"""Settings that stay as they were at the start: what is built on them is built once."""


@dataclass(frozen=True)
class Reloaded:
    """What a reload found.

    `needs_load` is whether the next request loads a model in place of the one that is there; `warnings`
    are lines about the options on this machine.
    """

    changes: tuple[SettingChange, ...]
    needs_load: bool
    warnings: tuple[str, ...]

    @property
    def needs_restart(self) -> bool:
        """Whether one of the changes waits for the next start of the service."""
        return any(change.field in FIXED for change in self.changes)


@dataclass(frozen=True)
class RefusedConfig:
    """Settings that were read and refused, and what is wrong with them, line by line."""

    at: datetime
    lines: tuple[str, ...]


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
        self._refused: RefusedConfig | None = None
        self.manager = ModelManager(
            self._load, options=lambda: self._settings.speech.options, idle_unload_s=settings.service.idle_unload_s
        )

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self._settings

    @property
    def refused(self) -> RefusedConfig | None:
        """What the latest reload refused; None where it did not."""
        return self._refused

    @property
    def config_places(self) -> tuple[Path, ...]:
        """Where the settings file is looked for."""
        return config_places(self._config, os.environ)

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

    def reload(self, force: bool = False) -> Reloaded:
        """Read the settings again; requests that are in work finish with the old ones.

        A model that had to be made smaller when memory ran out is loaded anew as it was meant to be.

        Args:
            force: Load the model anew though nothing asks for it.

        Raises:
            ConfigValidationError: the file can't be read, or what it says can't be, also on this machine;
                a line for each reason. The old settings stay.
        """
        with self._lock:
            try:
                reloaded = self._reload(force)
            except YivideoError as error:
                lines = self._lines(error)
                self._refused = RefusedConfig(datetime.now(UTC), lines)
                log.warning("Settings refused, the old ones stay: %s", "; ".join(lines))
                raise ConfigValidationError("\n".join(lines)) from error
            self._refused = None
        changed = ", ".join(change.field for change in reloaded.changes) or "nothing differs"
        load = "; the next request loads the model" if reloaded.needs_load else ""
        log.info("Settings read again: %s%s", changed, load)
        return reloaded

    def close(self, timeout_s: float | None = None) -> None:
        """Unload once the work of now has ended.

        Raises:
            ModelBusy: it has not after `timeout_s`.
        """
        self.manager.close(timeout_s)

    def _reload(self, force: bool) -> Reloaded:
        old, read = self._settings, load_settings(self._config)
        changes = [change for change in diff_settings(old, read) if change.field == "home"]
        if changes:  # folders below the new home are as little ours as the home itself
            read = load_settings(self._config, {**os.environ, "YIVIDEO_HOME": str(old.home)})
        changes += [change for change in diff_settings(old, read) if change.field != "home"]
        fresh = _keep_fixed(old, read)
        speech = LocalSpeech(fresh)
        warnings = speech.check(fresh.speech.options)
        other_model = any(change.needs_reload for change in changes)
        if other_model:
            speech.revision(fresh.speech.options)  # weights that can't be had are no reason to give up the old ones
        apply_environment(fresh)
        # Which model it is, its options say; the rest, only who loads it.
        renew = force or self._is_smaller() or old.cache.model_dir != fresh.cache.model_dir
        self._settings = fresh
        if renew:
            self.manager.renew()
        self.manager.unload_after(fresh.service.idle_unload_s)
        return Reloaded(tuple(changes), other_model or renew, warnings)

    def _is_smaller(self) -> bool:
        info = self.manager.info()
        return info is not None and bool(info.steps)

    def _lines(self, error: YivideoError) -> tuple[str, ...]:
        """An error's lines, its file named without our folders."""
        text = "\n".join(filter(None, (error.message, error.hint)))
        for place in self.config_places:
            text = text.replace(str(place), place.name)
        return tuple(text.splitlines())

    def _load(self, options: SpeechOptions) -> ResidentEngine:
        settings = self._settings
        token = settings.hub.read_token()
        return load_engine(
            options,
            settings.cache.model_dir,
            token=token.get_secret_value() if token else None,
            offline=settings.hub.offline,
        )


def _keep_fixed(old: Settings, fresh: Settings) -> Settings:
    kept = {name: getattr(old.service, name) for name in _FIXED_OF_SERVICE}
    service = fresh.service.model_copy(update=kept)
    return fresh.model_copy(update={"home": old.home, "storage": old.storage, "service": service})


# PART service/watch_config.py: Notices that the settings file has changed, however that comes about.

POLL_S = 5.0
"""A folder on a network tells nothing of what happens in it, so the file is looked at so often anyway."""
SETTLE_S = 0.5
"""So long a file must stay as it is: an editor may empty it first, or put a new one in its place."""
_DEBOUNCE_MS = 400


class ConfigWatch:
    """Calls an action once the content of a file has changed; also of one that is not there yet.

    The folders are watched, not the files: editors replace a file by renaming a new one. What counts is
    the content alone, so whatever else happens in the folders does no harm.

    Args:
        places: Where the file may be.
        changed: What to do; it tells by itself of settings that it refuses.
    """

    def __init__(self, places: Sequence[Path], changed: Callable[[], object]) -> None:
        self._places = places
        self._changed = changed
        self._stop = threading.Event()
        self._seen = self._read()
        self._thread = threading.Thread(target=self._run, name="config-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; returns once the thread has ended, or is caught in a settings file to be read."""
        self._stop.set()
        self._thread.join(SETTLE_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            folders = self._folders()
            try:
                self._follow(folders)
            except (OSError, RuntimeError) as error:
                log.info("The settings file is looked at every %.0f s, not watched: %s", POLL_S, error)
                while folders == self._folders() and not self._stop.wait(POLL_S):
                    self._look()

    def _follow(self, folders: set[Path]) -> None:
        """Watch folders until the file lies in others."""
        events = watch(
            *folders,
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            stop_event=self._stop,
            rust_timeout=round(POLL_S * 1000),
            yield_on_timeout=True,
            recursive=False,
        )
        for _ in events:
            self._look()
            if folders != self._folders():
                return

    def _folders(self) -> set[Path]:
        """Where the file may be, and where links lead from there."""
        lying = {folder for place in self._places for folder in (place.parent, place.resolve().parent)}
        return {folder for folder in lying if folder.is_dir()}

    def _look(self) -> None:
        found = self._read()
        if found == self._seen:
            return
        while found != (later := self._read_later()):
            found = later
        if found == self._seen or self._stop.is_set():
            return
        self._seen = found
        try:
            self._changed()
        except YivideoError as error:
            log.info("The settings file changed, and the service did not: %s", error.kind)
        except Exception:
            log.exception("The changed settings could not be taken up")

    def _read_later(self) -> list[bytes | None]:
        self._stop.wait(SETTLE_S)
        return self._read()

    def _read(self) -> list[bytes | None]:
        return [_content(place) for place in self._places]


def _content(place: Path) -> bytes | None:
    try:
        return place.read_bytes()
    except OSError:  # it is not there, or not for us: whoever reads the settings says so
        return None
