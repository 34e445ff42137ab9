"""Measures a stage while it runs: `with measure(nvml) as m: ...`, then `m.summary()`."""

from collections.abc import Generator
from contextlib import contextmanager

import psutil

from yivideo_pipeline.telemetry.host import HostMark, rss_mb
from yivideo_pipeline.telemetry.metrics import StageMetrics
from yivideo_pipeline.telemetry.nvml import Nvml
from yivideo_pipeline.telemetry.sampler import Sampler, Series

DEFAULT_INTERVAL_S = 0.5
GPU_PATIENCE_S = 2.0
"""How long the end of a stage waits for a driver that hangs, in seconds."""


class GpuWatch:
    """Samples one GPU in a thread of its own, so that a hanging driver stops nothing but itself."""

    def __init__(self, nvml: Nvml, interval_s: float) -> None:
        self._nvml = nvml
        self.utilization, self.power, self.temperature = Series(), Series(), Series()
        self.device_memory, self.process_memory = Series(), Series()
        self._sampler = Sampler(self._take, interval_s, "telemetry-gpu")

    def start(self) -> None:
        """Begin to sample."""
        self._sampler.start()

    def stop(self) -> None:
        """Take the last sample, but wait for no driver that hangs."""
        self._sampler.end()
        self._sampler.join(GPU_PATIENCE_S)
        if self._sampler.is_alive():
            self._nvml.give_up("the GPU's driver does not answer")

    def figures(self) -> dict[str, float | str | None]:
        """The GPU's fields of `StageMetrics`."""
        # Before its first CUDA call a process has no GPU memory to be told of, so one sample that
        # tells it is enough to know that the driver does.
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


class Measurement:
    """The measurement of one stage; see `measure`."""

    def __init__(self, nvml: Nvml | None, interval_s: float) -> None:
        self._process = psutil.Process()
        self._rss = Series()
        self._sampler = Sampler(lambda: self._rss.add(rss_mb(self._process)), interval_s, "telemetry-host")
        self._gpu = GpuWatch(nvml, interval_s) if nvml else None
        self._before = HostMark.now()
        self._after: HostMark | None = None

    def start(self) -> None:
        """Begin to sample."""
        self._sampler.start()
        if self._gpu:
            self._gpu.start()

    def stop(self) -> None:
        """Take the last samples and end the threads."""
        self._after = HostMark.now()
        self._sampler.end()
        if self._gpu:
            self._gpu.stop()
        self._sampler.join()

    def summary(self) -> StageMetrics:
        """What the stage cost, or has cost so far while it runs."""
        after = self._after or HostMark.now()
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


@contextmanager
def measure(nvml: Nvml | None = None, interval_s: float = DEFAULT_INTERVAL_S) -> Generator[Measurement]:
    """Measure what runs inside the `with`; its threads end with it, also when it raises.

    Args:
        nvml: The GPU to watch, from `open_nvml`; None where there is none.
        interval_s: Seconds between samples.

    Yields:
        The measurement; its `summary()` stays available afterwards.
    """
    measurement = Measurement(nvml, interval_s)
    measurement.start()
    try:
        yield measurement
    finally:
        measurement.stop()
