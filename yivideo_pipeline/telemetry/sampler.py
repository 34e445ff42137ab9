"""Sampling beside the work: a thread that calls at intervals, and what it keeps of the values."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from yivideo_pipeline.telemetry.nvml import NvmlFailed


class Sampler(threading.Thread):
    """Calls `take` at once, then at every interval, and once more at the end.

    A daemon: not even a driver that never answers keeps the process from ending.

    Args:
        take: Takes one sample; `NvmlFailed` ends the sampling.
        interval_s: Seconds between samples.
        name: The thread's name.
    """

    def __init__(self, take: Callable[[], None], interval_s: float, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._take = take
        self._interval_s = interval_s
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample until `end` is called."""
        try:
            self._take()
            while not self._ended.wait(self._interval_s):
                self._take()
            self._take()
        except NvmlFailed:
            # Logged where it failed; what was sampled until then stays.
            return

    def end(self) -> None:
        """Ask for the last sample; `join` waits for it."""
        self._ended.set()


@dataclass
class Series:
    """Mean and peak of what came by; it keeps no single value, however long the stage."""

    count: int = 0
    total: float = 0.0
    peak: float | None = None

    def add(self, value: float | None) -> None:
        """Take in one value; None, which is not known, counts for nothing."""
        if value is None:
            return
        self.count += 1
        self.total += value
        self.peak = value if self.peak is None else max(self.peak, value)

    @property
    def mean(self) -> float | None:
        """The mean, None of nothing."""
        return self.total / self.count if self.count else None
