"""What is told of: stages, whole videos, the owner's operations, and recognitions over HTTP, by name.

`whisperx.generate_subtitles` stands for all that follows the sound: transcript, alignment and subtitles of
one video are one operation, with the sum of their times. `ffmpeg.extract_audio` is our stage `audio`.
"""

import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.stages import LAST_STAGE, STAGES

if TYPE_CHECKING:
    import pandas as pd

HEARD = "transcript"
"""The stage whose result may be an earlier one, so that nothing is said of its speed."""
LOST = ""
"""Stage of a failure that no stage told of: the run's process died."""

REQUESTS = {
    "/v1/audio/transcriptions": "api.transcriptions",
    "/v1/audio/translations": "api.translations",
    "/asr": "api.asr",
    "/detect-language": "api.detect_language",
}
"""Recognitions that no run asked for, by their route; those of runs are told by their stages."""


@dataclass(frozen=True)
class Operation:
    """Stages that are one operation on one video; it has ended once `last` is made, or one of them failed."""

    stages: tuple[str, ...]
    last: str


OPERATIONS = {
    **{stage: Operation((stage,), stage) for stage in STAGES},
    "process_video": Operation((*STAGES, LOST), LAST_STAGE),
    "ffmpeg.extract_audio": Operation(("audio",), "audio"),
    "whisperx.generate_subtitles": Operation(("transcript", "alignment", "subtitles"), LAST_STAGE),
}
NAMES = (*OPERATIONS, *REQUESTS.values())


def require_operation(name: str | None) -> str | None:
    """Return the name, or None for all operations: whole videos, and recognitions over HTTP.

    Raises:
        Refused: 422; nothing is called so.
    """
    if name is None or name in NAMES:
        return name
    raise Refused(
        422,
        "unknown_operation",
        "There is no such operation",
        f"There are {', '.join(NAMES)}; none for all together",
    )


# PART service/performance/works.py: Samples as operations: a row for each piece of work that has ended, well or not.

COLUMNS = (
    "operation", "key", "run_id", "at", "duration_s", "audio_s", "success", "retries", "memory_mb", "cpu_pct",
    "gpu_memory_mb", "gpu_utilization_pct", "batch_size", "kind", "message", "hint",
)  # fmt: skip
"""Of each table here. `duration_s` and `audio_s` (the sound that was worked on) are NaN where it failed, the
latter also where an earlier result was reused; `at` is the end as Unix time; text is None of nothing."""


def stage_works(samples: "pd.DataFrame") -> "pd.DataFrame":
    """Return each sample as an operation of its own, called as its stage."""
    return samples.assign(
        operation=samples["stage"],
        audio_s=samples["duration_s"].where(samples["success"] & ~samples["reused"]),
        duration_s=samples["wall_s"].where(samples["success"]),
        retries=samples["attempts"].fillna(1) - 1,
        memory_mb=samples["rss_peak_mb"],
        cpu_pct=100 * samples["cpu_s"] / samples["wall_s"].where(samples["wall_s"] > 0),
        gpu_memory_mb=samples["gpu_memory_peak_mb"],
        gpu_utilization_pct=samples["gpu_utilization_mean_pct"],
    )[[*COLUMNS]]


def video_works(samples: "pd.DataFrame", name: str, operation: Operation) -> "pd.DataFrame":
    """Return the operations that take several stages: what one run, launched again or not, did for one video.

    What is still under way is left out: neither is its last stage made, nor did one fail last.

    Args:
        samples: The oldest first, as `history.tables` makes them.
        name: What the operation is called.
        operation: Its stages.
    """
    import pandas as pd

    part = samples[samples["stage"].isin(operation.stages)]
    # Numbers in place of texts: grouping by two long texts takes ten times as long.
    roots, _ = pd.factorize(part["root_id"])
    keys, found = pd.factorize(part["key"])
    part = part.assign(work=pd.factorize(roots * max(1, len(found)) + keys)[0])
    last = part.drop_duplicates("work", keep="last").set_index("work")
    made = part.loc[part["success"] & (part["stage"] == operation.last), "work"]
    ended = last[~last["success"] | last.index.isin(made)]
    sums = _sums(part).loc[ended.index]
    again = part.loc[(part["stage"] == HEARD) & part["reused"], "work"]
    counts = ended["success"] & ~ended.index.isin(again)
    return ended.assign(
        operation=name,
        duration_s=sums["wall_s"].where(ended["success"]),
        audio_s=sums["duration_s"].where(counts),
        retries=sums["retries"],
        memory_mb=sums["rss_peak_mb"],
        cpu_pct=100 * sums["cpu_s"] / sums["wall_s"].where(sums["wall_s"] > 0),
        gpu_memory_mb=sums["gpu_memory_peak_mb"],
        gpu_utilization_pct=sums["gpu_utilization_mean_pct"],
        batch_size=sums["batch_size"],
    )[[*COLUMNS]].reset_index(drop=True)


def request_works(requests: "pd.DataFrame") -> "pd.DataFrame":
    """Return the service's own requests as operations."""
    table = requests.assign(
        key=None,
        run_id=None,
        audio_s=requests["duration_s"].where(requests["success"]),
        duration_s=requests["wall_s"].where(requests["success"]),
        retries=0.0,
        memory_mb=requests["rss_peak_mb"],
        cpu_pct=float("nan"),
        gpu_memory_mb=requests["gpu_memory_peak_mb"],
        gpu_utilization_pct=float("nan"),
        batch_size=float("nan"),
    )
    return table[[*COLUMNS]]


def _sums(part: "pd.DataFrame") -> "pd.DataFrame":
    """Sums over the works: of the times, the attempts beyond the first and the runs; peaks of the rest."""
    groups = part.assign(retries=part["attempts"].fillna(1) - 1).groupby("work", sort=False)
    sums = groups[["wall_s", "cpu_s", "retries"]].sum()
    peaks = groups[
        ["duration_s", "rss_peak_mb", "gpu_memory_peak_mb", "gpu_utilization_mean_pct", "batch_size"]
    ].max()
    runs = part.drop_duplicates(["work", "run_id"]).groupby("work", sort=False).size()
    return sums.join(peaks).assign(retries=sums["retries"] + runs - 1)


# PART service/performance/window.py: The span of time that a request is about.

_UNITS_S = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


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
        """The window of the same length that ends where this one starts."""
        return Window(self.start - self.length_s, self.start)


def parse_since(since: str | None, now: float | None = None) -> Window:
    """Return the window from a time, such as 2026-01-31T12:00 (UTC) or 24h ago (m, h, d, w), until now.

    Args:
        since: The time; None: from the beginning of all.
        now: Unix time; by default the clock's.

    Raises:
        Refused: 422; it is no time, or one to come.
    """
    now = time.time() if now is None else now
    start = 0.0 if since is None else _start_of(since.strip(), now)
    if start is None or not 0 <= start < now:
        raise Refused(
            422,
            "invalid_request",
            "since is no time of the past",
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
