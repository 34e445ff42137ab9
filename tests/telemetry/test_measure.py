"""A stage is measured: its time, its memory, its peaks, and nothing made up."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from yivideo_pipeline.machine.gpu import GpuReading, NvmlFailed
from yivideo_pipeline.telemetry.measure import StageMetrics, TimeShares, measure

MB = 2**20


class ScriptedGpu:
    """Says what it is told to say, then repeats the last reading or fails; for the arithmetic alone."""

    def __init__(self, *readings: GpuReading, then_fail: bool = False):
        self.readings = list(readings)
        self.then_fail = then_fail
        self.reads = 0

    def read(self) -> GpuReading:
        self.reads += 1
        if self.reads > len(self.readings) and self.then_fail:
            raise NvmlFailed("lost")
        return self.readings[min(self.reads, len(self.readings)) - 1]

    def give_up(self, reason: str) -> None:
        raise AssertionError("it always answers")


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        threading.Event().wait(0.005)


def telemetry_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("telemetry")]


def test_time_and_processor_of_a_working_stage():
    with measure() as m:
        until = time.process_time() + 0.1
        while time.process_time() < until:
            pass
    metrics = m.summary()
    assert metrics.cpu_s >= 0.1
    assert metrics.wall_s > 0
    assert metrics.cpu_mean_pct == pytest.approx(100 * metrics.cpu_s / metrics.wall_s)


def test_a_stage_shorter_than_the_interval_is_sampled_all_the_same():
    with measure(interval_s=60) as m:
        pass
    metrics = m.summary()
    assert metrics.samples == 2
    assert metrics.rss_peak_mb >= metrics.rss_mean_mb > 1


def test_without_a_gpu_its_figures_are_none():
    with measure() as m:
        pass
    gpu = {name: value for name, value in m.summary().model_dump().items() if name.startswith("gpu")}
    assert len(gpu) == 7
    assert set(gpu.values()) == {None}


def test_memory_that_is_held_shows_in_the_samples():
    with measure(interval_s=0.005) as m:
        held = bytearray(b"x") * (64 * MB)
        seen = m.summary().samples
        wait_until(lambda: m.summary().samples > seen + 1)
    assert len(held) == 64 * MB
    assert m.summary().rss_peak_mb > 64


LARGE_THEN_SMALL = """
from yivideo_pipeline.telemetry.measure import StageMetrics, TimeShares, measure
with measure(interval_s=60) as large:
    bytearray(b"x") * (300 * 2**20)
with measure(interval_s=60) as small:
    pass
ended = small.summary()
bytearray(b"x") * (400 * 2**20)
assert small.summary() == ended
print(large.summary().rss_peak_mb, large.summary().rss_mean_mb, ended.rss_peak_mb)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system keeps no high-water mark")
def test_a_peak_between_two_samples_counts_for_its_own_stage_alone():
    """In a fresh process, since the kernel's mark covers a process's whole life.

    The interval is longer than the stages, and the memory is given back before the last sample.
    """
    done = subprocess.run(
        [sys.executable, "-c", LARGE_THEN_SMALL], capture_output=True, text=True, check=True
    )
    large_peak, large_mean, small_peak = map(float, done.stdout.split())
    assert large_peak > 300
    assert large_mean < 300
    assert small_peak < 300


def test_the_threads_end_with_the_stage_even_when_it_raises():
    with pytest.raises(KeyError), measure(ScriptedGpu(GpuReading())) as m:
        assert sorted(telemetry_threads()) == ["telemetry-gpu", "telemetry-host"]
        raise KeyError("stage failed")
    assert telemetry_threads() == []
    assert m.summary().wall_s > 0


def test_gpu_means_and_peaks_come_from_what_was_read():
    gpu = ScriptedGpu(
        GpuReading(utilization_pct=20, device_memory_mb=1000, power_w=100, temperature_c=60),
        GpuReading(utilization_pct=80, device_memory_mb=3000, power_w=None, temperature_c=70),
        then_fail=True,
    )
    with measure(gpu, interval_s=0.005) as m:
        wait_until(lambda: gpu.reads == 3)
    metrics = m.summary()
    assert (metrics.gpu_utilization_mean_pct, metrics.gpu_utilization_peak_pct) == (50, 80)
    assert (metrics.gpu_memory_mean_mb, metrics.gpu_memory_peak_mb) == (2000, 3000)
    assert metrics.gpu_memory_scope == "device"
    assert metrics.gpu_power_mean_w == 100
    assert metrics.gpu_temperature_peak_c == 70


def test_this_processs_memory_is_preferred_to_the_whole_gpus():
    gpu = ScriptedGpu(
        GpuReading(device_memory_mb=9000),
        GpuReading(device_memory_mb=9500, process_memory_mb=500),
        then_fail=True,
    )
    with measure(gpu, interval_s=0.005) as m:
        wait_until(lambda: gpu.reads == 3)
    assert m.summary().gpu_memory_peak_mb == 500
    assert m.summary().gpu_memory_scope == "process"


def test_a_gpu_that_fails_does_not_stop_the_samples_of_the_host():
    with measure(ScriptedGpu(then_fail=True), interval_s=0.005) as m:
        wait_until(lambda: m.summary().samples > 4)
    assert m.summary().gpu_utilization_mean_pct is None


def test_an_idle_gpu_is_zero_not_none():
    with measure(ScriptedGpu(GpuReading(utilization_pct=0))) as m:
        pass
    assert m.summary().gpu_utilization_mean_pct == 0


def test_processor_time_is_shared_by_the_work_that_runs_side_by_side():
    used = [0.0]
    shares = TimeShares(lambda: used[0])
    with shares.share() as first:
        used[0] += 2.0
        with shares.share() as second:
            used[0] += 3.0
            assert (first(), second()) == (3.5, 1.5)
        used[0] += 1.0
        assert first() == 4.5
    used[0] += 5.0  # nobody's
    with shares.share() as later, measure(cpu_clock=later) as measurement:
        used[0] += 0.5
    assert measurement.summary().cpu_s == 0.5


def cost(**figures: float) -> StageMetrics:
    return StageMetrics.model_validate(
        {
            "wall_s": 4.0,
            "cpu_s": 1.0,
            "rss_peak_mb": 200,
            "rss_mean_mb": 150,
            "cpu_mean_pct": 25,
            "samples": 8,
        }
        | figures
    )


def test_work_of_another_process_counts_with_its_processor_time_and_its_memory():
    both = cost().including(
        cost(cpu_s=5.0, wall_s=3.5, rss_peak_mb=800, rss_mean_mb=700, gpu_memory_peak_mb=3000)
    )
    assert (both.wall_s, both.cpu_s, both.cpu_mean_pct) == (4.0, 6.0, 150.0)
    assert (both.rss_peak_mb, both.rss_mean_mb, both.gpu_memory_peak_mb) == (800, 700, 3000)
    assert cost(rss_peak_mb=900).including(cost()).rss_peak_mb == 900
