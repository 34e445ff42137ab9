"""All settings of a process, as one frozen tree of sections."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, model_validator

from yivideo_pipeline.settings.cluster import ClusterSettings
from yivideo_pipeline.settings.sections import (
    AlertSettings,
    BackfillSettings,
    CacheSettings,
    CheckSettings,
    HubSettings,
    LibraryRoot,
    LibrarySettings,
    NoticeSettings,
    RetentionSettings,
    RetrySettings,
    RunSettings,
    Section,
    ServiceSettings,
    SpeechSettings,
    StorageSettings,
    TelemetrySettings,
)
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions, split_list


def find_home() -> Path:
    """Return the default folder of all state: a checkout's `data` folder, else `./data`."""
    root = Path(__file__).resolve().parents[2]
    return (root if (root / "pyproject.toml").is_file() else Path.cwd()) / "data"


class Settings(Section):
    """All settings of a process; relative paths are relative to `home`."""

    home: Path = Field(default_factory=find_home, description="Folder of all state (YIVIDEO_HOME)")
    speech: SpeechSettings = Field(SpeechSettings(), description="What is recognized, how, where")
    subtitles: SubtitleOptions = Field(SubtitleOptions(), description="How words become cues")
    library: LibrarySettings = Field(description="Which videos are processed")
    storage: StorageSettings = Field(description="Where results are kept")
    cache: CacheSettings = Field(description="Where weights are kept")
    hub: HubSettings = Field(HubSettings(), description="Access to the Hugging Face hub")
    retry: RetrySettings = Field(RetrySettings(), description="Retries after a fault")
    runs: RunSettings = Field(RunSettings(), description="How runs share the machine")
    backfills: BackfillSettings = Field(BackfillSettings(), description="Scheduled work on many videos")
    checks: CheckSettings = Field(CheckSettings(), description="Asset checks")
    notices: NoticeSettings = Field(NoticeSettings(), description="Where failures are reported")
    service: ServiceSettings = Field(ServiceSettings(), description="The service that owns the models")
    cluster: ClusterSettings = Field(ClusterSettings(), description="Replicas that hold the models")
    alerts: AlertSettings = Field(AlertSettings(), description="When performance is worth an alert")
    retention: RetentionSettings = Field(RetentionSettings(), description="How long things are kept")
    telemetry: TelemetrySettings = Field(TelemetrySettings(), description="Measuring")

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def with_origins(self, origins: Mapping[str, str]) -> Self:
        """Return the same settings, with the place where each value (by dotted path) was set."""
        copy = self.model_copy()
        copy._origins = dict(origins)
        return copy

    @property
    def allowed_folders(self) -> tuple[LibraryRoot, ...]:
        """The folders that requests and launches may name: the library's, and those of `service.roots`."""
        return (*self.library.roots.values(), *self.service.roots)

    def origin(self, path: str) -> str:
        """Return where the value at a dotted path was set: a file's line, a variable, or `default`."""
        below = [where for key, where in self._origins.items() if key.startswith(f"{path}.")]
        return self._origins.get(path) or ", ".join(below) or "default"

    @model_validator(mode="before")
    @classmethod
    def _place_under_home(cls, data: Any) -> Any:
        """Fill in the folders that default to places under home, and anchor relative ones there."""
        if not isinstance(data, dict):
            return data
        home = _anchor(data.get("home") or find_home(), Path.cwd())
        if not isinstance(home, str | Path) or "://" in str(home):
            raise ValueError(f"home {home!r} is not a folder of this machine: give its path")
        placed = {"library": {}, "storage": {}, "cache": {}, **data, "home": home}
        defaults = {
            ("library", "roots"): {"inbox": "inbox"},
            ("storage", "root"): "artifacts",
            ("cache", "model_dir"): "models",
            ("cache", "hf_home"): None,
            ("cache", "transformers_cache"): None,
            ("hub", "token_file"): None,
            ("storage", "database_url_file"): None,
            ("service", "roots"): (),
        }
        for (section, key), default in defaults.items():
            values = placed.get(section, {})
            if isinstance(values, dict):
                given = values.get(key, default)
                is_list = isinstance(default, tuple)
                if not isinstance(given, dict if isinstance(default, dict) else str | Path) and not is_list:
                    continue  # validation refuses it as it was written
                placed[section] = {**values, key: _anchor(split_list(given) if is_list else given, home)}
        return placed


def _anchor(value: Any, folder: Path) -> Any:
    """Make a path absolute under a folder; URLs stay, and validation refuses what is not a path."""
    if isinstance(value, dict):
        return {name: _anchor(path, folder) for name, path in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_anchor(path, folder) for path in value)
    if isinstance(value, str | Path) and value and "://" not in str(value):
        return str(folder / Path(value).expanduser())
    return value
