"""All settings of a process, as one frozen tree."""

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.settings.key_paths import Inline, nest_inline
from yivideo_pipeline.settings.options import SpeechOptions, split_list

# PART settings/sections.py: The base of every section of the settings.


class Section(BaseModel):
    """Frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


# PART settings/orchestration.py: Settings of what runs by itself: the watch on the library, runs, backfills, checks, notices.

VIDEO_EXTENSIONS = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".mpg", ".mpeg", ".ts", ".m2ts",
    ".mts", ".vob", ".3gp", ".ogv", ".mp3", ".m4a", ".aac", ".flac", ".wav", ".ogg", ".opus", ".wma",
)  # fmt: skip
IGNORED = ("**/@eaDir/**", "**/#recycle/**", "**/$RECYCLE.BIN/**", "**/lost+found/**")
"""What NAS systems and desktops keep in between: thumbnails, waste baskets."""

_WINDOW = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")

Names = Annotated[tuple[str, ...], BeforeValidator(split_list)]


def _check_zone(name: str | None) -> str | None:
    try:
        if name is not None:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name} is no time zone: use a name such as Europe/Berlin") from None
    return name


class LibrarySettings(Section):
    """Where videos are looked for, and which of them are taken."""

    roots: dict[str, Path] = Field(min_length=1, description="Folders with videos, by a name of your choice")
    extensions: Names = Field(
        VIDEO_EXTENSIONS, min_length=1, description="File name endings that are taken for videos"
    )
    poll_s: int = Field(10, ge=5, le=86_400, description="Seconds between two looks at the roots")
    settle_s: float = Field(
        5.0, ge=0, le=86_400, description="A file is taken when size and time stood still for so long"
    )
    ignore: Names = Field(IGNORED, description="Globs of paths below a root that are passed over")
    min_size_bytes: int = Field(1024, ge=0, description="Smaller files are passed over")
    max_duration_s: float | None = Field(None, gt=0, description="Longer videos are passed over; null: none")
    existing_subtitles: Literal["skip", "ignore"] = Field(
        "skip", description="skip: a video that has subtitles in the wanted language is passed over"
    )
    deleted: Literal["keep", "archive"] = Field(
        "keep", description="archive: the partition of a deleted video is taken out; its artifacts stay"
    )


class RunSettings(Section):
    """How runs share the machine."""

    gpu_slots: int = Field(1, ge=1, le=64, description="Stages at once that load a model, over all runs")
    group_size: int = Field(20, ge=1, le=50, description="Most videos of a backfill that share a run")
    quarantine_after: int = Field(
        3, ge=1, le=20, description="Failed runs of one video in a row before it is set aside"
    )
    ask_above: int = Field(
        100, ge=1, description="More videos than this are not made again without somebody asking for it"
    )


class BackfillSettings(Section):
    """Work on many videos by schedule; the schedules are switched on in the UI."""

    nightly: str = Field("0 1 * * *", description="Cron: when missing and failed videos are made")
    weekly: str = Field("0 2 * * 6", description="Cron: when stale videos are made again")
    window: str | None = Field(
        None, description="Hours in which scheduled backfills may work, such as 22:00-06:00; null: any"
    )
    time_zone: Annotated[str | None, AfterValidator(_check_zone)] = Field(
        None, description="Time zone of the schedules, such as Europe/Berlin; null: UTC"
    )

    @model_validator(mode="after")
    def _window_is_readable(self) -> Self:
        if self.window is not None and not _WINDOW.fullmatch(self.window.strip()):
            raise ValueError(f"window {self.window!r} is not two times of day: write it as 22:00-06:00")
        return self

    @property
    def hours(self) -> tuple[time, time] | None:
        """Begin and end of the window; it goes over midnight where the end is the earlier. None: any time."""
        found = _WINDOW.fullmatch(self.window.strip()) if self.window else None
        if found is None:
            return None
        from_hour, from_minute, to_hour, to_minute = map(int, found.groups())
        return time(from_hour, from_minute), time(to_hour, to_minute)


class CheckSettings(Section):
    """The asset checks: how much each matters, and their thresholds."""

    errors: Names = Field((), description="Checks whose failure is an error")
    warnings: Names = Field((), description="Checks whose failure is a warning")
    skip: Names = Field((), description="Checks that are left out")
    min_language_probability: float = Field(0.5, ge=0, le=1, description="Below it the language is unsure")
    min_speech_covered: float = Field(
        0.9, ge=0, le=1, description="Least share of the heard speech that has words"
    )
    min_speed_share: float = Field(
        0.33, gt=0, le=1, description="Slower than this share of the machine's usual speed is told"
    )


class NoticeSettings(Section):
    """Who is told of failed runs, quarantined videos and a library that is gone."""

    webhook_url: SecretStr | None = Field(None, description="Address that notices are posted to, as JSON")
    smtp_host: str | None = Field(None, description="Mail server")
    smtp_port: int = Field(587, ge=1, le=65_535, description="Its port")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="How mail is encrypted")
    smtp_user: str | None = Field(None, description="Name at the mail server")
    smtp_password: SecretStr | None = Field(None, description="Password there")
    mail_from: str | None = Field(None, description="Sender of the notices")
    mail_to: Names = Field((), description="Receivers of the notices")
    repeat_after_h: float = Field(24.0, gt=0, description="The same notice is not sent again before that")
    ui_url: str = Field("http://127.0.0.1:3000", description="Address of Dagster's UI, for links in notices")

    @model_validator(mode="after")
    def _mail_is_complete(self) -> Self:
        if self.mail_to and not (self.smtp_host and self.mail_from):
            raise ValueError("mail_to needs smtp_host and mail_from too: set them, or remove mail_to")
        return self


# PART settings/service.py: Settings of the service that owns the models: where it answers, to whom, within which bounds.

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def _check_url(url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address: write it as http://127.0.0.1:8788")
    return url.rstrip("/") if url else url


def _check_folder(path: Path) -> Path:
    if not path.is_absolute():  # the settings put relative ones under home: what is left has no name
        raise ValueError(f"{str(path)!r} is no folder of this machine: give its path")
    return path


Folder = Annotated[Path, AfterValidator(_check_folder)]
Url = Annotated[str, AfterValidator(_check_url)]


class SpeechSettings(Section):
    """What is recognized, how, and where the models are."""

    options: Annotated[SpeechOptions, Inline()] = Field(
        SpeechOptions(), description="What is recognized, how"
    )
    service_url: Url | None = Field(
        None, description="Address of a `yivideo serve` that has the models loaded; null: this process"
    )
    service_required: bool = Field(
        False, description="false: where the service does not answer, the models are loaded in the run"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_flat_keys(cls, data: Any) -> Any:
        return nest_inline(cls, data)


class ServiceSettings(Section):
    """`yivideo serve`: where it answers, and the bounds of what it takes."""

    host: str = Field("127.0.0.1", description="Address to listen on; any but this machine's own needs a key")
    port: int = Field(8788, ge=1, le=65_535, description="Port")
    api_key: SecretStr | None = Field(None, min_length=16, description="Key that every request must carry")
    roots: tuple[Folder, ...] = Field(
        (), description="Folders, beside the library's, from which files may be named in requests"
    )
    max_upload_mb: int = Field(4096, ge=1, description="Largest file that is taken")
    max_duration_s: float = Field(21_600, gt=0, description="Longest sound that is taken")
    max_requests: int = Field(
        64, ge=1, le=1000, description="Requests waiting or in work; more are asked to come back"
    )
    idle_unload_s: float | None = Field(
        1800, ge=10, description="The model is unloaded after so long without a request; null: never"
    )
    dagster_url: Url = Field("http://127.0.0.1:3000", description="Address of Dagster's webserver")
    callback_hosts: Names = Field((), description="Hosts that callback_url of a workflow may name")
    callback_key: SecretStr | None = Field(None, description="Key that signs callbacks (HMAC-SHA256)")

    @property
    def is_local(self) -> bool:
        """Whether this machine alone can reach the service."""
        return self.host in LOOPBACK


class AlertSettings(Section):
    """When the performance of the last hours is worth an alert."""

    p99_s: float = Field(300, gt=0, description="Seconds that 99% of operations must stay below")
    success_pct: float = Field(90, ge=0, le=100, description="Least share of operations that succeed")
    error_pct: float = Field(10, ge=0, le=100, description="Most of one kind of error among operations")
    gpu_pct: float = Field(90, ge=0, le=100, description="GPU memory in use")
    memory_pct: float = Field(90, ge=0, le=100, description="Memory in use")
    hours: float = Field(24, gt=0, le=8760, description="Hours that are looked at")
    min_operations: int = Field(5, ge=1, description="Fewer operations than this raise no alert of a share")


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


