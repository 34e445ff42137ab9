"""How far the work is, how fast it goes, and how long it will take."""

import time
from collections.abc import Callable

_SHARES = {"video": 0.01, "audio": 0.04, "transcript": 0.93, "alignment": 0.01, "subtitles": 0.01}
"""Shares of a video's time, as measured with base in int8 on two cores and words timed by attention; by
wav2vec2 the alignment takes more."""


class Pace:
    """Counts seconds of sound that are done, over all videos.

    Args:
        total_s: Seconds of all videos together, as far as they are known.
        now: A clock.
    """

    def __init__(self, total_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._total_s = total_s
        self._passed_s = 0.0
        self._worked_s = 0.0
        self._spent_s = 0.0
        self._begin(0.0)

    def begin(self, duration_s: float | None) -> None:
        """Start with the next video."""
        self._begin(duration_s or 0.0)

    def advance(self, stage: str, fraction: float) -> None:
        """Take note of how much of a stage of this video is done, 0 to 1."""
        stages = list(_SHARES)
        before = sum(_SHARES[name] for name in stages[: stages.index(stage)])
        self.fraction = max(self.fraction, before + _SHARES[stage] * fraction)

    def finish(self, *, worked: bool) -> None:
        """End this video; one that was done before says nothing about the speed."""
        self._passed_s += self._duration_s
        if worked:
            self._worked_s += self._duration_s
            self._spent_s += self._now() - self._started
        self._begin(0.0)

    @property
    def rtfx(self) -> float | None:
        """Seconds of sound a second of work on this video; None as long as that is a guess."""
        spent_s = self._now() - self._started
        return self.fraction * self._duration_s / spent_s if self.fraction and spent_s > 0 else None

    @property
    def overall(self) -> float:
        """Share of all work that is done, 0 to 1."""
        return min(1.0, self._done_s / self._total_s) if self._total_s else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds until all is done at the speed so far; None as long as that is a guess."""
        worked_s = self._worked_s + self.fraction * self._duration_s
        spent_s = self._spent_s + (self._now() - self._started if self.fraction else 0.0)
        if worked_s <= 0 or spent_s <= 0:
            return None
        return max(0.0, self._total_s - self._done_s) * spent_s / worked_s

    @property
    def _done_s(self) -> float:
        return self._passed_s + self.fraction * self._duration_s

    def _begin(self, duration_s: float) -> None:
        self._duration_s = duration_s
        self._started = self._now()
        self.fraction = 0.0
        """Share of this video that is done, 0 to 1."""
