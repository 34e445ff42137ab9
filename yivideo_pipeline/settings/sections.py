"""The sections of config.yml, in its order, with what each setting means and allows."""

import re
from datetime import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    model_validator,
)

from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.settings.key_paths import Inline, nest_inline
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.subtitle_options import split_list

VIDEO_EXTENSIONS = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".wmv", ".mpg", ".mpeg", ".ts", ".m2ts",
    ".mts", ".vob", ".3gp", ".ogv", ".mp3", ".m4a", ".aac", ".flac", ".wav", ".ogg", ".opus", ".wma",
)  # fmt: skip
IGNORED = ("**/@eaDir/**", "**/#recycle/**", "**/$RECYCLE.BIN/**", "**/lost+found/**")
"""Folders that NAS systems and desktops add: thumbnails, waste baskets."""
OBJECT_STORAGE = ("s3", "gs", "gcs", "az", "abfs", "abfss")
"""Kinds of URL that a library root may have."""
LOOPBACK = {"127.0.0.1", "::1", "localhost"}

_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg2")
_WINDOW = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-3]):([0-5]\d)")


def _check_url(url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is not an address: write it as http://127.0.0.1:8788")
    return url.rstrip("/") if url else url


def check_database(url: SecretStr) -> SecretStr:
    """Return an address of a database with its driver; what is wrong with it is said without showing it.

    The driver is Dagster's; without it SQLAlchemy would look for another.
    """
    scheme, _, rest = url.get_secret_value().strip().partition("://")
    try:
        parts = urlsplit(f"postgresql://{rest}")
        is_address = scheme in _POSTGRES and parts.path.strip("/") and (parts.port or 1) > 0
    except ValueError:  # the port is no number
        is_address = False
    if not is_address:
        raise ValueError(
            "is no address of a PostgreSQL database: write postgresql://, user:password, @host:5432, /name,"
            " with %40 for an @ in the password and %2F for a /"
        )
    return SecretStr(f"postgresql+psycopg2://{rest}")


def _read_secret(file: Path, setting: str, what: str) -> SecretStr:
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{setting} {file} can't be read ({error})", "Correct the path or remove it"
        ) from error
    if not secret:
        raise ConfigError(f"{setting} {file} is empty", f"Write {what} into it")
    return SecretStr(secret)


def _check_folder(path: Path) -> Path:
    if not path.is_absolute():  # the settings anchor relative ones under home: what is left has no name
        raise ValueError(f"{str(path)!r} is not a folder of this machine: give its path")
    return path


def _check_zone(name: str | None) -> str | None:
    try:
        if name is not None:
            ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name} is not a time zone: use a name such as Europe/Berlin") from None
    return name


Names = Annotated[tuple[str, ...], BeforeValidator(split_list)]
Folder = Annotated[Path, AfterValidator(_check_folder)]
Url = Annotated[str, AfterValidator(_check_url)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(check_database)]


class Section(BaseModel):
    """A section: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class SpeechSettings(Section):
    """What is recognized, how, and where the models are."""

    options: Annotated[SpeechOptions, Inline()] = Field(
        SpeechOptions(), description="What is recognized, and how"
    )
    service_url: Url | None = Field(
        None, description="Address of a `yivideo serve` that has the models loaded; null: this process"
    )
    service_required: bool = Field(
        False, description="false: if the service does not answer, the run loads the models itself"
    )

    @model_validator(mode="before")
    @classmethod
    def _take_flat_keys(cls, data: Any) -> Any:
        return nest_inline(cls, data)


def _require_no_key(url: str) -> str:
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("keys don't belong in an address: give them in the environment")
    return url


def _read_root(value: Any) -> "Path | UPath":
    """Return a folder, or a place on object storage, of which no listing is kept: others write there."""
    if "://" not in str(value):
        if not isinstance(value, str | Path) or value == "":
            raise ValueError(f"{value!r} is not a folder: give its path or URL")
        return Path(value)
    scheme, _, place = str(value).partition("://")
    if scheme not in OBJECT_STORAGE or not place.strip("/"):
        raise ValueError(f"{value} is no place for videos: name a folder, or s3://bucket/folder")
    _require_no_key(str(value))
    from upath import UPath

    return UPath(str(value).rstrip("/"), use_listings_cache=False)


if TYPE_CHECKING:  # it takes 0.1 s to import, and most libraries are folders
    from upath import UPath

    LibraryRoot = Path | UPath
else:
    LibraryRoot = Annotated[Path, PlainValidator(_read_root)]


class LibrarySettings(Section):
    """Where videos are looked for, and which of them are processed."""

    roots: dict[str, LibraryRoot] = Field(
        min_length=1,
        description="Folders with videos, or URLs (s3://bucket/folder), by a name of your choice",
    )
    extensions: Names = Field(VIDEO_EXTENSIONS, min_length=1, description="File name endings of videos")
    poll_s: int = Field(5, ge=5, le=86_400, description="Seconds between two scans of the roots")
    settle_s: float = Field(
        5.0, ge=0, le=86_400, description="Seconds for which a file's size and time must not change first"
    )
    ignore: Names = Field(IGNORED, description="Globs of paths below a root that are skipped")
    min_size_bytes: int = Field(1024, ge=0, description="Smaller files are skipped")
    max_duration_s: float | None = Field(None, gt=0, description="Longer videos are skipped; null: no limit")
    existing_subtitles: Literal["skip", "ignore"] = Field(
        "skip", description="skip: a video that has subtitles in the wanted language is skipped"
    )
    deleted: Literal["keep", "archive"] = Field(
        "keep", description="archive: the partition of a deleted video is removed; its artifacts stay"
    )

    @property
    def folders(self) -> dict[str, Path]:
        """The roots that are folders of this machine, by their names."""
        return {name: root for name, root in self.roots.items() if isinstance(root, Path)}


class StorageSettings(Section):
    """Where results and records are kept."""

    root: Annotated[str, AfterValidator(_require_no_key)] = Field(
        min_length=1, description="Folder or fsspec URL (s3://bucket/folder) of the artifacts"
    )
    database_url: DatabaseUrl | None = Field(
        None,
        description="PostgreSQL for ledger and Dagster (postgresql://user:password@host/name); null: SQLite",
    )
    database_url_file: Path | None = Field(
        None, description="File that holds the address, used if database_url is unset"
    )

    def read_database_url(self) -> SecretStr | None:
        """Return the database's address, from the setting or from its file; None: SQLite in the home folder.

        Raises:
            ConfigError: The file can't be read, is empty, or holds no address of a PostgreSQL database.
        """
        if self.database_url is not None or self.database_url_file is None:
            return self.database_url
        url = _read_secret(self.database_url_file, "storage.database_url_file", "the address")
        try:
            return check_database(url)
        except ValueError as error:
            raise ConfigError(f"storage.database_url_file {self.database_url_file}: {error}") from None


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
    token_file: Path | None = Field(None, description="File that holds the token, used if token is unset")
    offline: bool = Field(False, description="true: never ask the hub, use what is on this machine")

    def read_token(self) -> SecretStr | None:
        """Return the token, from the setting or from its file; None where neither is given.

        Raises:
            ConfigError: The token file can't be read or is empty.
        """
        if self.token is not None or self.token_file is None:
            return self.token
        return _read_secret(self.token_file, "hub.token_file", "the token")


class RetrySettings(Section):
    """How often and how soon a failed stage is retried; permanent errors never are."""

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
        description="Random share by which a delay is shorter or longer, so that retries do not coincide",
    )

    @model_validator(mode="after")
    def _base_is_not_over_max(self) -> Self:
        if self.base_delay_s > self.max_delay_s:
            raise ValueError(
                f"base_delay_s {self.base_delay_s:g} is over max_delay_s {self.max_delay_s:g}:"
                " lower the first or raise the second"
            )
        return self


class RunSettings(Section):
    """How runs share the machine."""

    gpu_slots: int = Field(1, ge=1, le=64, description="Stages that may have a model at once, over all runs")
    group_size: int = Field(20, ge=1, le=50, description="Most videos of a backfill that share a run")
    quarantine_after: int = Field(
        3, ge=1, le=20, description="Failed runs in a row after which a video is quarantined"
    )
    ask_above: int = Field(
        100, ge=1, description="More videos than this are made again only after confirmation"
    )


class BackfillSettings(Section):
    """Scheduled work on many videos; the schedules are switched on in the UI."""

    nightly: str = Field("0 1 * * *", description="Cron: when missing and failed videos are made")
    weekly: str = Field("0 2 * * 6", description="Cron: when stale videos are made again")
    window: str | None = Field(
        None, description="Hours in which scheduled backfills may work, such as 22:00-06:00; null: any"
    )
    time_zone: Annotated[str | None, AfterValidator(_check_zone)] = Field(
        None, description="Time zone of the schedules, such as Europe/Berlin; null: UTC"
    )
    gpu_hour_price: float | None = Field(
        None, ge=0, description="Price of a GPU hour, for `yivideo plan`; null: no cost is shown"
    )

    @model_validator(mode="after")
    def _window_is_readable(self) -> Self:
        if self.window is not None and not _WINDOW.fullmatch(self.window.strip()):
            raise ValueError(f"window {self.window!r} is not two times of day: write it as 22:00-06:00")
        return self

    @property
    def hours(self) -> tuple[time, time] | None:
        """Begin and end of the window; it crosses midnight where the end is the earlier. None: any time."""
        found = _WINDOW.fullmatch(self.window.strip()) if self.window else None
        if found is None:
            return None
        from_hour, from_minute, to_hour, to_minute = map(int, found.groups())
        return time(from_hour, from_minute), time(to_hour, to_minute)


class CheckSettings(Section):
    """The asset checks: the severity of each, and their thresholds."""

    errors: Names = Field((), description="Checks whose failure is an error")
    warnings: Names = Field((), description="Checks whose failure is a warning")
    skip: Names = Field((), description="Checks that are skipped")
    min_language_probability: float = Field(
        0.5, ge=0, le=1, description="Least probability of the detected language"
    )
    min_speech_covered: float = Field(
        0.9, ge=0, le=1, description="Least share of the detected speech that has words"
    )
    min_speed_share: float = Field(
        0.33, gt=0, le=1, description="Least share of the machine's usual speed; slower stages are reported"
    )


class NoticeSettings(Section):
    """Where failed runs, quarantined videos and a missing library are reported."""

    webhook_url: SecretStr | None = Field(None, description="Address that notices are posted to, as JSON")
    smtp_host: str | None = Field(None, description="Mail server")
    smtp_port: int = Field(587, ge=1, le=65_535, description="Port of the mail server")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="How mail is encrypted")
    smtp_user: str | None = Field(None, description="User name at the mail server")
    smtp_password: SecretStr | None = Field(None, description="Password at the mail server")
    mail_from: str | None = Field(None, description="Sender of the notices")
    mail_to: Names = Field((), description="Receivers of the notices")
    repeat_after_h: float = Field(24.0, gt=0, description="Hours before the same notice is sent again")
    ui_url: str = Field("http://127.0.0.1:3000", description="Address of Dagster's UI, for links in notices")

    @model_validator(mode="after")
    def _mail_is_complete(self) -> Self:
        if self.mail_to and not (self.smtp_host and self.mail_from):
            raise ValueError("mail_to needs smtp_host and mail_from too: set them, or remove mail_to")
        return self


class ServiceSettings(Section):
    """`yivideo serve`: where it listens, and the limits of what it accepts."""

    host: str = Field("127.0.0.1", description="Address to listen on; any but this machine's own needs a key")
    port: int = Field(8788, ge=1, le=65_535, description="Port to listen on")
    api_key: SecretStr | None = Field(None, min_length=16, description="Key that every request must carry")
    roots: tuple[Folder, ...] = Field(
        (), description="Folders whose files requests may name, besides the library's"
    )
    max_upload_mb: int = Field(4096, ge=1, description="Largest file that is accepted")
    max_duration_s: float = Field(21_600, gt=0, description="Longest sound that is accepted")
    max_requests: int = Field(
        64, ge=1, le=1000, description="Requests waiting or in work; further ones must come back later"
    )
    idle_unload_s: float | None = Field(
        1800, ge=10, description="Seconds without a request after which the model is unloaded; null: never"
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
    error_pct: float = Field(10, ge=0, le=100, description="Most errors of one kind among operations")
    gpu_pct: float = Field(90, ge=0, le=100, description="Most GPU memory in use")
    memory_pct: float = Field(90, ge=0, le=100, description="Most memory in use")
    hours: float = Field(24, gt=0, le=8760, description="Hours of operations that are evaluated")
    min_operations: int = Field(5, ge=1, description="Fewer operations than this raise no alert of a share")


class RetentionSettings(Section):
    """How long is kept what grows with each run; null: for ever."""

    run_logs_days: float | None = Field(90, gt=0, description="Days that the log of a run is kept")
    sound_days: float | None = Field(None, gt=0, description="Days that decoded sound is kept")


class TelemetrySettings(Section):
    """Measuring of what a stage uses."""

    interval_s: float = Field(0.5, ge=0.05, le=60, description="Seconds between two measurements")
