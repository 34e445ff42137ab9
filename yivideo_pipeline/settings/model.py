"""All settings of a process, as one frozen tree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, model_validator

from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.settings.options import SubtitleOptions, split_list
from yivideo_pipeline.settings.orchestration import (
    BackfillSettings,
    CheckSettings,
    LibrarySettings,
    NoticeSettings,
    RunSettings,
)
from yivideo_pipeline.settings.sections import Section
from yivideo_pipeline.settings.service import AlertSettings, ServiceSettings, SpeechSettings


def find_home() -> Path:
    """Return where state goes unless told otherwise: a checkout's `data` folder, else `./data`."""
    root = Path(__file__).resolve().parents[2]
    return (root if (root / "pyproject.toml").is_file() else Path.cwd()) / "data"


class StorageSettings(Section):
    """Where results are kept."""

    root: str = Field(min_length=1, description="Folder or fsspec URL (s3://bucket/folder) of the artifacts")


class CacheSettings(Section):
    """Where weights are kept."""

    model_dir: Path = Field(description="Folder of the Whisper weights (WHISPERX_MODEL_CACHE_DIR)")
    hf_home: Path | None = Field(
        None, description="Hugging Face's own folder (HF_HOME); unset: the library's default"
    )
    transformers_cache: Path | None = Field(
        None, description="Folder of transformers' models (TRANSFORMERS_CACHE); unset: the library's default"
    )


class HubSettings(Section):
    """Access to the Hugging Face hub."""

    token: SecretStr | None = Field(None, description="Access token (HF_TOKEN); never shown or stored")
    token_file: Path | None = Field(None, description="File that holds the token, where token is not given")
    offline: bool = Field(False, description="true: never ask the hub, use what is on this machine")

    def read_token(self) -> SecretStr | None:
        """Return the token, from the setting or from its file; None where neither is given.

        Raises:
            ConfigError: The token file can't be read or is empty.
        """
        if self.token is not None or self.token_file is None:
            return self.token
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"hub.token_file {self.token_file} can't be read ({error})", "Correct the path or remove it"
            ) from error
        if not token:
            raise ConfigError(f"hub.token_file {self.token_file} is empty", "Write the token into it")
        return SecretStr(token)


class RetrySettings(Section):
    """How often and how soon a failed stage is tried again; permanent errors never are."""

    max_attempts: int = Field(3, ge=1, le=20, description="Attempts in all; 1: no retry")
    base_delay_s: float = Field(2.0, ge=0, le=600, description="Delay before the second attempt")
    max_delay_s: float = Field(60.0, ge=0, le=3600, description="Longest delay between attempts")
    strategy: Literal["fixed", "linear", "exponential", "fibonacci"] = Field(
        "exponential", description="How the delay grows"
    )
    jitter: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Random share by which a delay is shorter or longer, so that retries do not meet",
    )

    @model_validator(mode="after")
    def _base_is_not_over_max(self) -> Self:
        if self.base_delay_s > self.max_delay_s:
            raise ValueError(
                f"base_delay_s {self.base_delay_s:g} is over max_delay_s {self.max_delay_s:g}:"
                " lower the first or raise the second"
            )
        return self


class TelemetrySettings(Section):
    """Measuring of what a stage uses."""

    interval_s: float = Field(0.5, ge=0.05, le=60, description="Time between two samples")


class Settings(Section):
    """All settings of a process; relative paths are relative to `home`."""

    home: Path = Field(default_factory=find_home, description="Folder of all state (YIVIDEO_HOME)")
    speech: SpeechSettings = Field(SpeechSettings(), description="What is recognized, how, where")
    subtitles: SubtitleOptions = Field(SubtitleOptions(), description="How words become cues")
    library: LibrarySettings = Field(description="Which videos are taken")
    storage: StorageSettings = Field(description="Where results are kept")
    cache: CacheSettings = Field(description="Where weights are kept")
    hub: HubSettings = Field(HubSettings(), description="Access to the Hugging Face hub")
    retry: RetrySettings = Field(RetrySettings(), description="Further attempts after a fault")
    runs: RunSettings = Field(RunSettings(), description="How runs share the machine")
    backfills: BackfillSettings = Field(BackfillSettings(), description="Work on many videos by schedule")
    checks: CheckSettings = Field(CheckSettings(), description="Asset checks")
    notices: NoticeSettings = Field(NoticeSettings(), description="Who is told of trouble")
    service: ServiceSettings = Field(ServiceSettings(), description="The service that owns the models")
    alerts: AlertSettings = Field(AlertSettings(), description="When performance is worth an alert")
    telemetry: TelemetrySettings = Field(TelemetrySettings(), description="Measuring")

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def with_origins(self, origins: Mapping[str, str]) -> Self:
        """Return the same settings, knowing where each value (by dotted path) was set."""
        copy = self.model_copy()
        copy._origins = dict(origins)
        return copy

    def origin(self, path: str) -> str:
        """Say where the value at a dotted path was set: a file's line, a variable, or `default`."""
        below = [where for key, where in self._origins.items() if key.startswith(f"{path}.")]
        return self._origins.get(path) or ", ".join(below) or "default"

    @model_validator(mode="before")
    @classmethod
    def _place_under_home(cls, data: Any) -> Any:
        """Fill in the folders that default to places under home, and anchor relative ones there."""
        if not isinstance(data, dict):
            return data
        home = _anchor(data.get("home") or find_home(), Path.cwd())
        placed = {"library": {}, "storage": {}, "cache": {}, **data, "home": home}
        defaults = {
            ("library", "roots"): {"inbox": "inbox"},
            ("storage", "root"): "artifacts",
            ("cache", "model_dir"): "models",
            ("cache", "hf_home"): None,
            ("cache", "transformers_cache"): None,
            ("hub", "token_file"): None,
            ("service", "roots"): (),
        }
        for (section, key), default in defaults.items():
            values = placed.get(section, {})
            if isinstance(values, dict):
                given = values.get(key, default)
                several = isinstance(default, tuple)
                placed[section] = {**values, key: _anchor(split_list(given) if several else given, home)}
        return placed


def _anchor(value: Any, folder: Path) -> Any:
    """Make a path absolute under a folder; URLs stay, and what is no path is left to validation."""
    if isinstance(value, dict):
        return {name: _anchor(path, folder) for name, path in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_anchor(path, folder) for path in value)
    if isinstance(value, str | Path) and value and "://" not in str(value):
        return str(folder / Path(value).expanduser())
    return value
