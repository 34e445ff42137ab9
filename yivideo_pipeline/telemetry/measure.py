"""Measures what a stage costs while it runs: `with measure(nvml) as m: ...`, then `m.summary()`.

Threads sample the host and the GPU beside the work. All figures are the process's: work that runs at the
same time shares them, but for the processor time, which `TimeShares` can divide.
"""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from yivideo_pipeline.machine.gpu import BYTES_PER_MB, Nvml, NvmlFailed
from yivideo_pipeline.machine.host import read_process_memory_bytes

DEFAULT_INTERVAL_S = 0.5
GPU_PATIENCE_S = 2.0
"""How long the end of a stage waits for a driver that hangs, in seconds."""
_STATUS_FILE = Path("/proc/self/status")


class StageMetrics(BaseModel):
    """Time, processor, memory and GPU of one stage, in the names that every materialization carries.

    A megabyte is 2**20 bytes. GPU figures are None where there is no GPU or it does not report them.
    `gpu_memory_scope` says whose memory `gpu_memory_*` is: this process's where the driver reports it,
    else the whole device's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wall_s: float = Field(ge=0, description="Time from start to end")
    cpu_s: float = Field(ge=0, description="Processor time of all threads, user and system")
    rss_peak_mb: float = Field(ge=0, description="Most host memory in use at once")
    rss_mean_mb: float = Field(ge=0, description="Host memory in use, mean of the samples")
    cpu_mean_pct: float = Field(ge=0, description="Processor use; 100 is one core the whole time")
    gpu_memory_peak_mb: float | None = Field(None, ge=0, description="Most GPU memory seen in use")
    gpu_memory_mean_mb: float | None = Field(None, ge=0, description="GPU memory in use, mean of the samples")
    gpu_memory_scope: Literal["process", "device"] | None = Field(None, description="Whose GPU memory it is")
    gpu_utilization_mean_pct: float | None = Field(None, ge=0, description="GPU use, mean of the samples")
    gpu_utilization_peak_pct: float | None = Field(None, ge=0, description="Highest GPU use seen")
    gpu_power_mean_w: float | None = Field(None, ge=0, description="Power drawn, mean of the samples")
    gpu_temperature_peak_c: float | None = Field(None, description="Highest temperature seen")
    samples: int = Field(ge=0, description="Samples of the host taken")

    def including(self, elsewhere: "StageMetrics") -> "StageMetrics":
        """Return the cost of work that another process did a part of, while this one waited for it.

        The time is this process's, the processor time that of both. The memory is that of the process that
        used more, the GPU that of the other one if it has one.
        """
        cpu_s = self.cpu_s + elsewhere.cpu_s
        heavier = max(self, elsewhere, key=lambda one: one.rss_peak_mb)
        worked = self if elsewhere.gpu_memory_peak_mb is None else elsewhere
        gpu = {name: getattr(worked, name) for name in _GPU_FIELDS}
        return self.model_copy(
            update={
                "cpu_s": cpu_s,
                "cpu_mean_pct": 100 * cpu_s / self.wall_s,
                "rss_peak_mb": heavier.rss_peak_mb,
                "rss_mean_mb": heavier.rss_mean_mb,
                "samples": heavier.samples,
                **gpu,
            }
        )


_GPU_FIELDS = tuple(name for name in StageMetrics.model_fields if name.startswith("gpu_"))


class TimeShares:
    """Divides the processor time of this process among the work that is under way, at each moment equally.

    A library computes in threads of its own, so what one of several requests costs can't be measured. Where
    they are served in turn, as here, they cost about the same while they run side by side.

    Args:
        clock: What is divided: seconds of processor time, or of another clock.
    """

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._used_s: dict[object, float] = {}
        self._settled_s = clock()

    @contextmanager
    def share(self) -> Generator[Callable[[], float]]:
        """Take part until the block ends.

        Yields:
            A clock of the processor time of this work, in seconds from 0.
        """
        mine = object()

        def read() -> float:
            with self._lock:
                self._settle()
                return self._used_s[mine]

        with self._lock:
            self._settle()
            self._used_s[mine] = 0.0
        try:
            yield read
        finally:
            with self._lock:
                self._settle()
                del self._used_s[mine]

    def _settle(self) -> None:
        now = self._clock()
        for one in self._used_s:
            self._used_s[one] += (now - self._settled_s) / len(self._used_s)
        self._settled_s = now


@contextmanager
def measure(
    nvml: Nvml | None = None,
    interval_s: float = DEFAULT_INTERVAL_S,
    cpu_clock: Callable[[], float] = time.process_time,
) -> Generator["Measurement"]:
    """Measure what runs inside the `with`; its threads end with it, also when it raises.

    Args:
        nvml: The GPU to watch, from `open_nvml`; None where there is none.
        interval_s: Seconds between samples.
        cpu_clock: Returns the seconds of processor time so far.

    Yields:
        The measurement; its `summary()` stays available afterwards.
    """
    measurement = Measurement(nvml, interval_s, cpu_clock)
    measurement.start()
    try:
        yield measurement
    finally:
        measurement.stop()


class Measurement:
    """The measurement of one stage, as `measure` yields it."""

    def __init__(self, nvml: Nvml | None, interval_s: float, cpu_clock: Callable[[], float]) -> None:
        self._cpu_clock = cpu_clock
        self._rss = RunningStats()
        self._sampler = Sampler(
            lambda: self._rss.add(read_process_memory_bytes() / BYTES_PER_MB), interval_s, "telemetry-host"
        )
        self._gpu = GpuWatch(nvml, interval_s) if nvml else None
        self._before = HostMark.now(cpu_clock)
        self._after: HostMark | None = None

    def start(self) -> None:
        """Start to sample."""
        self._sampler.start()
        if self._gpu:
            self._gpu.start()

    def stop(self) -> None:
        """Take the last samples and end the threads."""
        self._after = HostMark.now(self._cpu_clock)
        self._sampler.end()
        if self._gpu:
            self._gpu.stop()
        self._sampler.join()

    def summary(self) -> StageMetrics:
        """Return what the stage cost, or has cost so far while it runs."""
        after = self._after or HostMark.now(self._cpu_clock)
        wall_s, cpu_s = after.wall_s - self._before.wall_s, after.cpu_s - self._before.cpu_s
        host = {
            "wall_s": wall_s,
            "cpu_s": cpu_s,
            "rss_peak_mb": after.peak_since(self._before, self._rss.peak or 0.0),
            "rss_mean_mb": self._rss.mean or 0.0,
            "cpu_mean_pct": 100 * cpu_s / wall_s,
            "samples": self._rss.count,
        }
        return StageMetrics.model_validate(host | (self._gpu.figures() if self._gpu else {}))


class GpuWatch:
    """Samples one GPU in a thread of its own, so that a hanging driver stops nothing but itself."""

    def __init__(self, nvml: Nvml, interval_s: float) -> None:
        self._nvml = nvml
        self.utilization, self.power, self.temperature = RunningStats(), RunningStats(), RunningStats()
        self.device_memory, self.process_memory = RunningStats(), RunningStats()
        self._sampler = Sampler(self._take, interval_s, "telemetry-gpu")

    def start(self) -> None:
        """Start to sample."""
        self._sampler.start()

    def stop(self) -> None:
        """Take the last sample, without waiting for a driver that hangs."""
        self._sampler.end()
        self._sampler.join(GPU_PATIENCE_S)
        if self._sampler.is_alive():
            self._nvml.give_up("the GPU's driver does not answer")

    def figures(self) -> dict[str, float | str | None]:
        """Return the GPU's fields of `StageMetrics`."""
        # A process has no GPU memory before its first CUDA call: one sample that reports it is enough to
        # know that the driver does.
        own = self.process_memory.count > 0
        memory = self.process_memory if own else self.device_memory
        return {
            "gpu_memory_peak_mb": memory.peak,
            "gpu_memory_mean_mb": memory.mean,
            "gpu_memory_scope": "process" if own else "device" if memory.count else None,
            "gpu_utilization_mean_pct": self.utilization.mean,
            "gpu_utilization_peak_pct": self.utilization.peak,
            "gpu_power_mean_w": self.power.mean,
            "gpu_temperature_peak_c": self.temperature.peak,
        }

    def _take(self) -> None:
        reading = self._nvml.read()
        self.utilization.add(reading.utilization_pct)
        self.power.add(reading.power_w)
        self.temperature.add(reading.temperature_c)
        self.device_memory.add(reading.device_memory_mb)
        self.process_memory.add(reading.process_memory_mb)


@dataclass(frozen=True, slots=True)
class HostMark:
    """Time, processor time and memory of the process at one moment.

    `wall_s` counts from an arbitrary origin, `cpu_s` is the processor time of all threads so far,
    `high_water_mb` the most memory that was ever in use, 0 where the system keeps no such mark.
    """

    wall_s: float
    cpu_s: float
    high_water_mb: float

    @classmethod
    def now(cls, cpu_clock: Callable[[], float] = time.process_time) -> "HostMark":
        """Take the mark now."""
        return cls(time.perf_counter(), cpu_clock(), _high_water_mb())

    def peak_since(self, before: "HostMark", sampled_mb: float) -> float:
        """Return the peak memory between two marks: the highest sample, or the high-water mark if it rose.

        The mark catches peaks between two samples. It can't fall, so a stage that stays below an
        earlier peak has its samples alone. Resetting it (writing 5 to /proc/self/clear_refs) would help
        here, but falsify the peak that other programs read of this process at its end, such as `time -v`
        and `make bench`, and that of a stage that runs at the same time.
        """
        return (
            max(sampled_mb, self.high_water_mb) if self.high_water_mb > before.high_water_mb else sampled_mb
        )


def _high_water_mb() -> float:
    if not _STATUS_FILE.exists():
        return 0.0
    lines = _STATUS_FILE.read_text().splitlines()
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
    return int(kilobytes) / 1024


class Sampler(threading.Thread):
    """Calls `take` at once, then at every interval, and once more at the end.

    It is a daemon: not even a driver that never answers keeps the process from ending.

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
class RunningStats:
    """Count, mean and peak of values as they come; no single value is kept, however long the stage."""

    count: int = 0
    total: float = 0.0
    peak: float | None = None

    def add(self, value: float | None) -> None:
        """Add a value; None, which is not known, is left out."""
        if value is None:
            return
        self.count += 1
        self.total += value
        self.peak = value if self.peak is None else max(self.peak, value)

    @property
    def mean(self) -> float | None:
        """The mean; None without values."""
        return self.total / self.count if self.count else None


class PerformanceMetrics(BaseModel):
    """One operation that ended: when, how long, how heavy, and whether it succeeded.

    `timestamp` is the operation's end as Unix time; `duration` and `audio_duration` are seconds;
    memory is the peak; 100 percent of CPU is one core.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timestamp: float
    operation: str = Field(min_length=1)
    duration: float = Field(ge=0)
    memory_usage_mb: float = Field(ge=0)
    cpu_usage_percent: float = Field(ge=0)
    gpu_memory_usage_mb: float | None = Field(None, ge=0)
    batch_size: int | None = Field(None, ge=1)
    audio_duration: float | None = Field(None, ge=0)
    success: bool

    @classmethod
    def from_metrics(
        cls,
        metrics: StageMetrics,
        operation: str,
        *,
        success: bool,
        batch_size: int | None = None,
        audio_duration: float | None = None,
        timestamp: float | None = None,
    ) -> Self:
        """Make a sample of what a stage was measured to cost.

        Args:
            metrics: The stage's cost.
            operation: Its name, such as `whisperx.generate_subtitles`.
            success: Whether it ended without an error.
            batch_size: Chunks decoded at once, where there was a model.
            audio_duration: Seconds of sound worked on.
            timestamp: Unix time of its end; now if not given.
        """
        return cls(
            timestamp=time.time() if timestamp is None else timestamp,
            operation=operation,
            duration=metrics.wall_s,
            memory_usage_mb=metrics.rss_peak_mb,
            cpu_usage_percent=metrics.cpu_mean_pct,
            gpu_memory_usage_mb=metrics.gpu_memory_peak_mb,
            batch_size=batch_size,
            audio_duration=audio_duration,
            success=success,
        )
