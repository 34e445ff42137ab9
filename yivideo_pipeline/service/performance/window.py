"""The span of time that a request is about."""

import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from yivideo_pipeline.service.errors import Refused

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
