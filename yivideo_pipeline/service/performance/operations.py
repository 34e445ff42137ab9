"""The names of operations, the unit of all performance figures; and the window of time they ended in.

An operation is a stage, a whole video, an operation of the owner's contract, or a recognition over HTTP.
`whisperx.generate_subtitles` is all that follows the audio: transcript, alignment and subtitles of one video
are one operation, with the sum of their times. `ffmpeg.extract_audio` is the stage `audio`.
"""

import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from yivideo_pipeline.errors.tree import MediaError, classes_by_kind
from yivideo_pipeline.ledger.operation_queries import Window
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.stages import LAST_STAGE, STAGES

if TYPE_CHECKING:
    import pandas as pd

NO_STAGE = ""
"""The stage of a failure that no stage reported, since the run's process died."""

REQUESTS = {
    "/v1/audio/transcriptions": "api.transcriptions",
    "/v1/audio/translations": "api.translations",
    "/asr": "api.asr",
    "/detect-language": "api.detect_language",
}
"""Recognitions over HTTP by their route; runs have their stages instead."""

_UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


@dataclass(frozen=True)
class Operation:
    """Stages that are one operation on one video; it has ended when `last` is made, or one of them failed."""

    stages: tuple[str, ...]
    last: str


OPERATIONS = {
    **{stage: Operation((stage,), stage) for stage in STAGES},
    "process_video": Operation((*STAGES, NO_STAGE), LAST_STAGE),
    "ffmpeg.extract_audio": Operation(("audio",), "audio"),
    "whisperx.generate_subtitles": Operation(("transcript", "alignment", "subtitles"), LAST_STAGE),
}
NAMES = (*OPERATIONS, *REQUESTS.values())

INPUT_KINDS = frozenset(classes_by_kind(MediaError))
"""Kinds of failure whose cause is the file itself: nothing here would help."""


def is_unusable(operations: "pd.DataFrame") -> "pd.Series":
    """Return which operations failed because their file can't be used."""
    return ~operations["success"].astype(bool) & operations["kind"].isin(INPUT_KINDS)


def require_operation(name: str | None) -> str | None:
    """Return the name, or None for all operations: whole videos, and recognitions over HTTP.

    Raises:
        Refused: 422; there is no operation of this name.
    """
    if name is None or name in NAMES:
        return name
    raise Refused(
        422,
        "unknown_operation",
        "There is no such operation",
        f"Name one of {', '.join(NAMES)}, or none for all together",
    )


def parse_since(since: str | None, now: float | None = None) -> Window:
    """Return the window from a time, such as 2026-01-31T12:00 (UTC) or 24h ago (m, h, d, w), until now.

    Args:
        since: The time; None for the whole history.
        now: Unix time; the clock's by default.

    Raises:
        Refused: 422; it is not a time, or lies in the future.
    """
    now = time.time() if now is None else now
    start = 0.0 if since is None else _start_of(since.strip(), now)
    if start is None or not 0 <= start < now:
        raise Refused(
            422,
            "invalid_request",
            "since is not a time in the past",
            "Write it as 24h, 7d or 2026-01-31T12:00:00Z",
        )
    return Window(start, now)


def iso(unix: float) -> str:
    """Return a Unix time as text, in UTC."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="seconds")


def _start_of(since: str, now: float) -> float | None:
    relative = re.fullmatch(r"(\d{1,6})([mhdw])", since, re.ASCII)
    if relative:
        return max(0.0, now - int(relative[1]) * _UNITS_S[relative[2]])
    try:
        when = datetime.fromisoformat(since)
        unix = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return unix if math.isfinite(unix) else None
