"""The GPU's figures of a stage, read from a stand-in for the driver; no GPU is needed."""

from pathlib import Path

import pytest

from tests.machine.stand_in_driver import build_driver, run_script

# The work goes on until the GPU's thread has read often enough, or has ended, however slow the machine.
MEASURE = """
import logging, threading
from yivideo_pipeline.telemetry.measure import measure
from yivideo_pipeline.machine.gpu import open_nvml
logging.basicConfig()
gpu = open_nvml()
for stage in range({stages}):
    with measure(gpu, interval_s=0.01) as m:
        while m.summary().samples < 5 or (m.summary().gpu_utilization_peak_pct or 0) < {until_pct}:
            threading.Event().wait(0.01)
    print(m.summary().model_dump_json())
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    return build_driver(tmp_path_factory.mktemp("nvml"))


def test_a_stage_gets_the_gpus_peaks_and_means(library):
    [metrics], _ = run_script(MEASURE.format(stages=1, until_pct=30), library)
    assert metrics["gpu_memory_scope"] == "process"
    assert metrics["gpu_memory_peak_mb"] == metrics["gpu_memory_mean_mb"] == 1200
    assert metrics["gpu_utilization_peak_pct"] >= 30
    assert metrics["gpu_utilization_mean_pct"] == (metrics["gpu_utilization_peak_pct"] + 10) / 2
    assert metrics["gpu_power_mean_w"] == 100
    assert metrics["gpu_temperature_peak_c"] == 60 + metrics["gpu_utilization_peak_pct"] / 10


def test_a_gpu_lost_in_mid_run_leaves_what_was_read_and_is_logged_once(library):
    """The stand-in says GPU_IS_LOST from the third reading on, as the driver does after a fatal fault."""
    [first, second], logged = run_script(
        MEASURE.format(stages=2, until_pct=0), library, STAND_IN_FAIL_AFTER="2"
    )
    assert first["gpu_utilization_mean_pct"] == 15
    assert first["gpu_utilization_peak_pct"] == 20
    assert second["gpu_utilization_mean_pct"] is None
    assert second["gpu_memory_peak_mb"] is None
    assert second["rss_peak_mb"] > 0
    assert logged.count("GPU figures stop here") == 1
    assert "GPU is lost" in logged
    assert "Traceback" not in logged


def test_a_driver_that_hangs_in_mid_run_holds_up_neither_stage_nor_process(library):
    """The stand-in never returns from its second reading: stages and the process end all the same."""
    [first, second], logged = run_script(
        MEASURE.format(stages=2, until_pct=0), library, STAND_IN_HANG_AFTER="1"
    )
    assert first["gpu_utilization_mean_pct"] == 10
    assert first["samples"] >= 5
    assert second["gpu_utilization_mean_pct"] is None
    assert logged.count("GPU figures stop here") == 1
    assert "does not answer" in logged
