"""GPUs as the driver reports them: the real pynvml against a stand-in driver library; no GPU is needed."""

import shutil
from pathlib import Path

import pytest

from tests.machine.stand_in_driver import build_driver, run_script
from yivideo_pipeline.machine.gpu import nvml_target

MB = 2**20

READ_ONCE = """
import json, logging
from dataclasses import asdict
from yivideo_pipeline.machine.gpu import open_nvml
logging.basicConfig()
gpu = open_nvml({index})
print(json.dumps(gpu and asdict(gpu.read())))
"""

LIST = """
import json
from dataclasses import asdict
from yivideo_pipeline.machine.gpu import list_gpus
gpus, problem = list_gpus()
print(json.dumps([[asdict(gpu) for gpu in gpus], problem]))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    return build_driver(tmp_path_factory.mktemp("nvml"))


def test_a_gpu_reports_all_its_figures(library):
    [reading], logged = run_script(READ_ONCE.format(index=0), library)
    assert reading == {
        "utilization_pct": 10,
        "device_memory_mb": 3000,
        "device_memory_total_mb": 12288,
        "process_memory_mb": 1200,
        "power_w": 100,
        "temperature_c": 61,
    }
    assert logged == ""


def test_what_one_gpu_can_not_report_is_none_and_the_rest_stays(library):
    [reading], _ = run_script(READ_ONCE.format(index=0), library, STAND_IN_BARE="1")
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
    [reading], _ = run_script(READ_ONCE.format(index=index), library, CUDA_VISIBLE_DEVICES=visible)
    assert reading["power_w"] == watts


@pytest.mark.parametrize("visible", ["", "-1", "7", "GPU-cccc"])
def test_a_gpu_that_is_hidden_or_not_there_is_none(library, visible):
    printed, logged = run_script(READ_ONCE.format(index=0), library, CUDA_VISIBLE_DEVICES=visible)
    assert printed == [None]
    assert logged == ""


def test_a_driver_that_is_not_loaded_is_no_gpu(library):
    printed, logged = run_script(READ_ONCE.format(index=0), library, STAND_IN_INIT="9")
    assert printed == [None]
    assert logged == ""


def test_a_driver_that_is_out_of_order_is_no_gpu_and_is_logged(library):
    printed, logged = run_script(READ_ONCE.format(index=0), library, STAND_IN_INIT="18")
    assert printed == [None]
    assert "No GPU figures" in logged


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU")
def test_without_the_drivers_library_there_is_no_gpu():
    printed, logged = run_script(READ_ONCE.format(index=0), None)
    assert printed == [None]
    assert logged == ""


def test_all_gpus_are_listed_with_their_memory(library):
    [[gpus, problem]], _ = run_script(LIST, library)
    assert [gpu["name"] for gpu in gpus] == ["First GPU", "Second GPU"]
    assert gpus[0]["memory_total_bytes"] == 12288 * MB
    assert gpus[0]["memory_free_bytes"] == 8288 * MB
    assert problem == ""


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", ["Second GPU"]),
        ("1,0", ["Second GPU", "First GPU"]),
        ("GPU-bbbb", ["Second GPU"]),
        ("0,7,1", ["First GPU"]),
    ],
)
def test_the_gpus_that_cuda_shows_are_listed_up_to_the_first_invalid_one(library, visible, names):
    [[gpus, problem]], _ = run_script(LIST, library, CUDA_VISIBLE_DEVICES=visible)
    assert ([gpu["name"] for gpu in gpus], problem) == (names, "")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({"CUDA_VISIBLE_DEVICES": ""}, "shows no GPU"), ({"STAND_IN_INIT": "9"}, "no NVIDIA driver answers")],
)
def test_without_a_gpu_the_list_is_empty_and_has_a_reason(library, environment, reason):
    [[gpus, problem]], _ = run_script(LIST, library, **environment)
    assert gpus == []
    assert reason in problem


def test_the_drivers_version_is_read(library):
    script = "from yivideo_pipeline.machine.gpu import read_driver_version; print(read_driver_version())"
    assert run_script(script, library) == ([550.54], "")


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
