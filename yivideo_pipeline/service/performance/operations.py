"""Operations, the unit of all performance figures, as tables; and the window of time they ended in.

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
from yivideo_pipeline.history.tables import TRANSCRIPT, number_work, sum_work, without_reused_cost
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

COLUMNS = (
    "operation", "key", "run_id", "at", "duration_s", "audio_s", "success", "retries", "memory_mb", "cpu_pct",
    "gpu_memory_mb", "gpu_utilization_pct", "batch_size", "reused", "kind", "message", "hint",
)  # fmt: skip
"""The columns of each table; missing texts are None.

`at` is the end as Unix time. `duration_s` is NaN if the operation failed or only found earlier results,
`audio_s` (the audio that was processed) also if the transcript was an earlier one. Cost is that of the stages
that were made, NaN if there were none; then the operation is `reused`.
"""


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


def stage_operations(samples: "pd.DataFrame") -> "pd.DataFrame":
    """Return each sample as an operation of its own, named like its stage."""
    samples = without_reused_cost(samples)
    made = samples["success"] & ~samples["reused"]
    return samples.assign(
        operation=samples["stage"],
        audio_s=samples["duration_s"].where(made),
        duration_s=samples["wall_s"].where(made),
        retries=samples["attempts"].fillna(1) - 1,
        memory_mb=samples["rss_peak_mb"],
        cpu_pct=100 * samples["cpu_s"] / samples["wall_s"].where(samples["wall_s"] > 0),
        gpu_memory_mb=samples["gpu_memory_peak_mb"],
        gpu_utilization_pct=samples["gpu_utilization_mean_pct"],
    )[[*COLUMNS]]


def video_operations(samples: "pd.DataFrame", name: str, operation: Operation) -> "pd.DataFrame":
    """Return the operations of several stages: what one run, launched again or not, did for one video.

    Work under way is left out: its last stage is not made yet, and its latest sample is no failure.

    Args:
        samples: The oldest first, as `history.tables` makes them.
        name: The operation's name.
        operation: Its stages.
    """
    part = number_work(samples[samples["stage"].isin(operation.stages)])
    last = part.drop_duplicates("work", keep="last").set_index("work")
    made = part.loc[part["success"] & (part["stage"] == operation.last), "work"]
    ended = last[~last["success"] | last.index.isin(made)]
    sums = sum_work(part).loc[ended.index]
    reused = part.loc[(part["stage"] == TRANSCRIPT) & part["reused"], "work"]
    is_processed = ended["success"] & ~ended.index.isin(reused)
    is_made = ended["success"] & ended.index.isin(part.loc[part["success"] & ~part["reused"], "work"])
    return ended.assign(
        operation=name,
        duration_s=sums["wall_s"].where(is_made),
        audio_s=sums["duration_s"].where(is_processed),
        retries=sums["retries"],
        memory_mb=sums["rss_peak_mb"],
        cpu_pct=100 * sums["cpu_s"] / sums["wall_s"].where(sums["wall_s"] > 0),
        gpu_memory_mb=sums["gpu_memory_peak_mb"],
        gpu_utilization_pct=sums["gpu_utilization_mean_pct"],
        batch_size=sums["batch_size"],
        reused=ended["success"] & ~is_made,
    )[[*COLUMNS]].reset_index(drop=True)


def request_operations(requests: "pd.DataFrame") -> "pd.DataFrame":
    """Return the service's own requests as operations."""
    table = requests.assign(
        key=None,
        run_id=None,
        audio_s=requests["duration_s"].where(requests["success"]),
        duration_s=requests["wall_s"].where(requests["success"]),
        retries=0.0,
        memory_mb=requests["rss_peak_mb"],
        cpu_pct=100 * requests["cpu_s"] / requests["wall_s"].where(requests["wall_s"] > 0),
        gpu_memory_mb=requests["gpu_memory_peak_mb"],
        gpu_utilization_pct=float("nan"),
        batch_size=float("nan"),
        reused=False,
    )
    return table[[*COLUMNS]]


@dataclass(frozen=True)
class Window:
    """From one Unix time to another."""

    start: float
    end: float

    @property
    def length_s(self) -> float:
        """Its length in seconds."""
        return self.end - self.start

    def before(self) -> "Window":
        """Return the window of the same length that ends where this one starts."""
        return Window(self.start - self.length_s, self.start)


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
