"""What this process itself uses: time, processor, memory."""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from yivideo_pipeline.telemetry.nvml import BYTES_PER_MB

_STATUS_FILE = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class HostMark:
    """Where the process stands at one moment.

    `wall_s` counts from an arbitrary origin, `cpu_s` is the processor time of all threads so far,
    `high_water_mb` the most memory ever in use, 0 where the system keeps no such mark.
    """

    wall_s: float
    cpu_s: float
    high_water_mb: float

    @classmethod
    def now(cls) -> "HostMark":
        """Take the mark now."""
        return cls(time.perf_counter(), time.process_time(), _high_water_mb())

    def peak_since(self, before: "HostMark", sampled_mb: float) -> float:
        """Peak memory between two marks: the highest sample, or the high-water mark if it rose.

        The mark catches peaks between two samples. It can't fall, so a stage that stays below an
        earlier peak is known by its samples alone. Resetting it (5 into /proc/self/clear_refs) would
        help here but falsify the peak that others read of this process at its end, such as `time -v`
        and `make bench`, and that of a stage running at the same time.
        """
        return (
            max(sampled_mb, self.high_water_mb) if self.high_water_mb > before.high_water_mb else sampled_mb
        )


def rss_mb(process: psutil.Process) -> float:
    """Memory of the process in use now, in MB of 2**20 bytes."""
    return process.memory_info().rss / BYTES_PER_MB


def _high_water_mb() -> float:
    if not _STATUS_FILE.exists():
        return 0.0
    lines = _STATUS_FILE.read_text().splitlines()
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
    return int(kilobytes) / 1024
