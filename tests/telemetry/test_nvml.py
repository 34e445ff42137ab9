"""The real pynvml against a stand-in driver library, compiled here from C; no GPU is needed.

Each test runs in a process of its own, since pynvml loads its library once and for all.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from yivideo_pipeline.telemetry.nvml import nvml_target

SOURCE = Path(__file__).with_name("nvml_stand_in.c")

READ_ONCE = """
import json, logging
from dataclasses import asdict
from yivideo_pipeline.telemetry.nvml import open_nvml
logging.basicConfig()
gpu = open_nvml({index})
print(json.dumps(gpu and asdict(gpu.read())))
"""

# The work goes on until the GPU's thread has read often enough, or has ended, however slow the machine.
MEASURE = """
import logging, threading
from yivideo_pipeline.telemetry.measure import measure
from yivideo_pipeline.telemetry.nvml import open_nvml
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
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the stand-in for libnvidia-ml.so.1 with")
    folder = tmp_path_factory.mktemp("nvml")
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(SOURCE)]
    subprocess.run(command, check=True)
    return folder


def run(script: str, library: Path | None, **environment: str) -> tuple[list, str]:
    """Run a script; return what it printed, each line parsed as JSON, and what it logged."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")}
    paths = {"LD_LIBRARY_PATH": str(library)} if library else {}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=kept | paths | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_gpu_tells_all_its_figures(library):
    [reading], logged = run(READ_ONCE.format(index=0), library)
    assert reading == {
        "utilization_pct": 10,
        "device_memory_mb": 3000,
        "device_memory_total_mb": 12288,
        "process_memory_mb": 1200,
        "power_w": 100,
        "temperature_c": 61,
    }
    assert logged == ""


def test_what_one_gpu_can_not_tell_is_none_and_the_rest_stays(library):
    [reading], _ = run(READ_ONCE.format(index=0), library, STAND_IN_BARE="1")
    assert reading == {
        "utilization_pct": 10,
        "device_memory_mb": 4000,
        "device_memory_total_mb": 12288,
        "process_memory_mb": None,
        "power_w": None,
        "temperature_c": 61,
    }


@pytest.mark.parametrize(
    ("visible", "index", "watts"),
    [
        ("1", 0, 200),
        ("1,0", 1, 100),
        ("GPU-bbbbbbbb-0000-0000-0000-000000000000", 0, 200),
        ("GPU-bbbb", 0, 200),
    ],
)
def test_the_gpu_that_cuda_shows_is_the_one_that_is_read(library, visible, index, watts):
    [reading], _ = run(READ_ONCE.format(index=index), library, CUDA_VISIBLE_DEVICES=visible)
    assert reading["power_w"] == watts


@pytest.mark.parametrize("visible", ["", "-1", "7", "GPU-cccc"])
def test_a_gpu_that_is_hidden_or_not_there_is_none(library, visible):
    printed, logged = run(READ_ONCE.format(index=0), library, CUDA_VISIBLE_DEVICES=visible)
    assert printed == [None]
    assert logged == ""


def test_a_driver_that_is_not_loaded_is_no_gpu(library):
    printed, logged = run(READ_ONCE.format(index=0), library, STAND_IN_INIT="9")
    assert printed == [None]
    assert logged == ""


def test_a_driver_that_is_out_of_order_is_no_gpu_and_said_so(library):
    printed, logged = run(READ_ONCE.format(index=0), library, STAND_IN_INIT="18")
    assert printed == [None]
    assert "No GPU figures" in logged


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU")
def test_without_the_drivers_library_there_is_no_gpu():
    printed, logged = run(READ_ONCE.format(index=0), None)
    assert printed == [None]
    assert logged == ""


def test_a_stage_gets_the_gpus_peaks_and_means(library):
    [metrics], _ = run(MEASURE.format(stages=1, until_pct=30), library)
    assert metrics["gpu_memory_scope"] == "process"
    assert metrics["gpu_memory_peak_mb"] == metrics["gpu_memory_mean_mb"] == 1200
    assert metrics["gpu_utilization_peak_pct"] >= 30
    assert metrics["gpu_utilization_mean_pct"] == (metrics["gpu_utilization_peak_pct"] + 10) / 2
    assert metrics["gpu_power_mean_w"] == 100
    assert metrics["gpu_temperature_peak_c"] == 60 + metrics["gpu_utilization_peak_pct"] / 10


def test_a_gpu_lost_in_mid_run_leaves_what_was_read_and_is_logged_once(library):
    """The stand-in says GPU_IS_LOST from the third reading on, as the driver does after a fatal fault."""
    [first, second], logged = run(MEASURE.format(stages=2, until_pct=0), library, STAND_IN_FAIL_AFTER="2")
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
    [first, second], logged = run(MEASURE.format(stages=2, until_pct=0), library, STAND_IN_HANG_AFTER="1")
    assert first["gpu_utilization_mean_pct"] == 10
    assert first["samples"] >= 5
    assert second["gpu_utilization_mean_pct"] is None
    assert logged.count("GPU figures stop here") == 1
    assert "does not answer" in logged


@pytest.mark.parametrize(
    ("index", "visible", "target"),
    [
        (1, None, 1),
        (0, "2,3", 2),
        (1, " 2, 3 ", 3),
        (2, "2,3", None),
        (0, "", None),
        (1, "0,-1,1", None),
        (0, "NoDevFiles", None),
        (1, "0,GPU-12ab", "GPU-12ab"),
        (0, "MIG-12ab", "MIG-12ab"),
    ],
)
def test_cudas_number_means_the_gpu_that_its_variable_names(index, visible, target):
    assert nvml_target(index, visible) == target
