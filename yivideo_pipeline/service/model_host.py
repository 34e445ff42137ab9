"""The service's one model, and the settings that it follows while the service runs.

`ModelHost` reads the settings again on demand; `ConfigWatch` demands it when the settings file has changed.
"""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from watchfiles import watch

from yivideo_pipeline.errors.tree import ConfigValidationError, YivideoError
from yivideo_pipeline.remote.replicas import ReplicaModels
from yivideo_pipeline.settings.cluster import ClusterSettings
from yivideo_pipeline.settings.load import apply_environment, config_places, load_settings
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.show import SettingChange, diff_settings
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.speech.loading import load_engine
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.manager import ModelManager

log = logging.getLogger(__name__)

_FIXED_FIELDS = frozenset(
    {
        "home",
        "storage.root",
        *(f"service.{name}" for name in ("host", "port", "max_requests")),
        *(f"cluster.{name}" for name in ClusterSettings.model_fields),
    }
)


def fixed_fields(settings: Settings) -> frozenset[str]:
    """Return the settings that change only with a restart, since what depends on them is built once.

    Replicas have the key of their start: where there are some, it is among them.
    """
    return _FIXED_FIELDS | {"service.api_key"} if settings.cluster.replicas_url else _FIXED_FIELDS


@dataclass(frozen=True)
class Reload:
    """What reading the settings again came to.

    Attributes:
        changes: The settings that differ.
        waiting: Those of them that wait for the next start of the service.
        needs_load: Whether the next request loads a model in place of the present one.
        warnings: Lines about the options on this machine.
    """

    changes: tuple[SettingChange, ...]
    waiting: frozenset[str]
    needs_load: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class RejectedConfig:
    """Settings that a reload rejected: when, and what is wrong with them, line by line."""

    at: datetime
    lines: tuple[str, ...]


class ModelHost:
    """Owns the process's one model and the settings; a change of them applies from the next request on.

    Args:
        settings: The settings at the start.
        config: The settings file, read again by `reload`.
    """

    def __init__(self, settings: Settings, config: Path | None = None) -> None:
        self._settings = settings
        self._config = config
        self._lock = threading.Lock()
        self._rejected: RejectedConfig | None = None
        self.manager: ModelManager | ReplicaModels
        self._local: LocalSpeech | ReplicaModels
        if settings.cluster.replicas_url:
            key = settings.service.api_key.get_secret_value() if settings.service.api_key else None
            self.manager = self._local = ReplicaModels(
                settings.cluster, key, lambda: self._settings.speech.options
            )
        else:
            self.manager = ModelManager(
                self._load,
                options=lambda: self._settings.speech.options,
                idle_unload_s=settings.service.idle_unload_s,
                choose=lambda options: self.local.choose(options),
            )
            self._local = LocalSpeech(settings, self.manager)

    @property
    def settings(self) -> Settings:
        """The present settings."""
        return self._settings

    @property
    def rejected_config(self) -> RejectedConfig | None:
        """What the latest reload rejected; None where it succeeded."""
        return self._rejected

    @property
    def config_places(self) -> tuple[Path, ...]:
        """The paths at which the settings file may be."""
        return config_places(self._config, os.environ)

    def read_settings(self) -> Settings:
        """Return the settings as file and environment have them now; they need not be in force.

        Raises:
            ConfigError: They can't be read, or are not valid.
        """
        return load_settings(self._config)

    @property
    def local(self) -> LocalSpeech | ReplicaModels:
        """What is known of options before a model is loaded; a reload alone changes what `auto` means."""
        return self._local

    def reload(self, force: bool = False) -> Reload:
        """Read the settings again; requests in progress finish with the old ones.

        A model that was made smaller when memory ran out is loaded again as it was configured.

        Args:
            force: Load the model again even if no change requires it.

        Raises:
            ConfigValidationError: The file can't be read, or its values are not valid or can't work on this
                machine; a line for each reason. The old settings stay.
        """
        with self._lock:
            try:
                reload = self._reload(force)
            except YivideoError as error:
                lines = self._without_folders(error)
                self._rejected = RejectedConfig(datetime.now(UTC), lines)
                log.warning("Settings rejected, the old ones stay: %s", "; ".join(lines))
                raise ConfigValidationError("\n".join(lines)) from error
        changed = ", ".join(change.field for change in reload.changes) or "nothing differs"
        load = "; the next request loads the model" if reload.needs_load else ""
        log.info("Settings reloaded: %s%s", changed, load)
        return reload

    def _reload(self, force: bool) -> Reload:
        old, new = self._settings, load_settings(self._config)
        changes = [change for change in diff_settings(old, new) if change.field == "home"]
        if changes:  # the home is fixed, and so are the folders below it
            new = load_settings(self._config, {**os.environ, "YIVIDEO_HOME": str(old.home)})
        changes += [change for change in diff_settings(old, new) if change.field != "home"]
        new = _keep_fixed(old, new)
        if old.service.api_key and not (new.service.api_key or new.service.is_local):
            raise ConfigValidationError(
                f"service.api_key can't be removed while other machines reach {new.service.host}:"
                " set another, or listen on 127.0.0.1 and start the service again"
            )
        options, manager = new.speech.options, self.manager
        speech = manager if isinstance(manager, ReplicaModels) else LocalSpeech(new, manager)
        warnings = speech.check(options)
        is_other_model = any(change.needs_reload for change in changes)
        if is_other_model:
            speech.revision(
                options
            )  # fetched first: the old model stays where the new weights are unavailable
        apply_environment(new)
        # The manager compares options by itself; it does not see these reasons to load again.
        renew = force or self._is_smaller() or old.cache.model_dir != new.cache.model_dir
        self._rejected = None  # before the settings: a reader never sees new ones beside an old rejection
        self._settings, self._local = new, speech
        if renew:
            self.manager.renew()
        self.manager.unload_after(new.service.idle_unload_s)
        waiting = fixed_fields(old).intersection(change.field for change in changes)
        return Reload(tuple(changes), waiting, is_other_model or renew, warnings)

    def _is_smaller(self) -> bool:
        info = self.manager.info()
        return info is not None and bool(info.steps)

    def _without_folders(self, error: YivideoError) -> tuple[str, ...]:
        """Return an error's lines, in which the settings file is named without its folder."""
        text = "\n".join(filter(None, (error.message, error.hint)))
        for path in self.config_places:
            text = text.replace(str(path), path.name)
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


def _keep_fixed(old: Settings, new: Settings) -> Settings:
    places = (field.partition(".") for field in fixed_fields(old))
    kept = {name: getattr(old.service, name) for section, _, name in places if section == "service"}
    service = new.service.model_copy(update=kept)
    return new.model_copy(
        update={"home": old.home, "storage": old.storage, "service": service, "cluster": old.cluster}
    )


POLL_S = 5.0
"""The file is also read at this interval, since a folder on a network reports no changes."""
SETTLE_S = 0.5
"""A file must stay unchanged for so long: an editor may empty it first, or replace it."""
_DEBOUNCE_MS = 400


class ConfigWatch:
    """Calls an action once the content of a file has changed, also of one that does not exist yet.

    The folders are watched, not the files, because editors replace a file by renaming a new one. Only a
    change of content counts, so other events in the folders do no harm.

    Args:
        paths: Where the file may be.
        on_change: The action; it reports settings that it rejects by itself.
    """

    def __init__(self, paths: Sequence[Path], on_change: Callable[[], object]) -> None:
        self._paths = paths
        self._on_change = on_change
        self._stop = threading.Event()
        self._seen = self._read()
        self._thread = threading.Thread(target=self._run, name="config-watch", daemon=True)

    def start(self) -> None:
        """Start to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop to watch; waits for the thread to end, but not for settings that it is reading."""
        self._stop.set()
        self._thread.join(SETTLE_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            folders = self._folders()
            try:
                self._follow(folders)
            except (OSError, RuntimeError) as error:
                log.info(
                    "Reading the settings file every %.0f s, since it can't be watched: %s", POLL_S, error
                )
                while folders == self._folders() and not self._stop.wait(POLL_S):
                    self._check()

    def _follow(self, folders: set[Path]) -> None:
        """Watch folders until the file is in others."""
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
            self._check()
            if folders != self._folders():
                return

    def _folders(self) -> set[Path]:
        """Return the folders in which the file may be, and those to which links lead from there."""
        parents = {folder for path in self._paths for folder in (path.parent, path.resolve().parent)}
        return {folder for folder in parents if folder.is_dir()}

    def _check(self) -> None:
        """Call the action if the content has changed and stays unchanged for a while."""
        found = self._read()
        if found == self._seen:
            return
        while found != (later := self._read_later()):
            found = later
        if found == self._seen or self._stop.is_set():
            return
        self._seen = found
        try:
            self._on_change()
        except YivideoError as error:
            log.info("The settings file changed, but its settings do not apply: %s", error.kind)
        except Exception:
            log.exception("The changed settings could not be applied")

    def _read_later(self) -> list[bytes | None]:
        self._stop.wait(SETTLE_S)
        return self._read()

    def _read(self) -> list[bytes | None]:
        return [_content(path) for path in self._paths]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:  # it does not exist or is not readable, which loading the settings reports
        return None
