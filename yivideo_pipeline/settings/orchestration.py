"""Settings of what runs by itself: the watch on the library, runs, backfills, checks, notices."""

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from yivideo_pipeline.settings.options import split_list
from yivideo_pipeline.settings.sections import Section

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
