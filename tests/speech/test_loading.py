"""Options that can't work here, and the manager that a process shares."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.machine.gpu import Gpu
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import ComputeType, Device, SpeechOptions
from yivideo_pipeline.settings.resolve import capacity_of, probe_hardware, resolve
from yivideo_pipeline.speech.loading import shared_manager
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.manager import ModelManager


def test_options_that_cannot_work_here_are_refused_before_a_model_is_loaded(home):
    with pytest.raises(ConfigValidationError, match="batch_size"):
        LocalSpeech(load_settings()).check(SpeechOptions(device=Device.CPU, batch_size=9))


def test_options_that_work_otherwise_are_warned_of(home):
    options = SpeechOptions(device=Device.CPU, compute_type=ComputeType.FLOAT16)
    warnings = LocalSpeech(load_settings()).check(options)
    assert any("float16" in warning for warning in warnings)


def test_a_gpu_that_another_run_fills_is_no_reason_to_refuse():
    full = replace(
        probe_hardware(),
        gpus=(Gpu("RTX 3060", memory_total_bytes=12 * 10**9, memory_free_bytes=10**8),),
        cuda_compute_types=frozenset({"float16", "float32", "int8"}),
    )
    options = SpeechOptions(
        model_name="large-v2", device=Device.CUDA, compute_type=ComputeType.FLOAT16, batch_size=4
    )
    with pytest.raises(ConfigValidationError):
        resolve(options, full)
    assert resolve(options, capacity_of(full)).device == "cuda"


def test_a_process_shares_one_manager_of_the_same_weights(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Barrier(8)

    def get(_: int) -> ModelManager:
        start.wait(30)
        return shared_manager(load_settings())

    with ThreadPoolExecutor(8) as pool:
        managers = set(pool.map(get, range(8)))
    assert len(managers) == 1
    assert LocalSpeech(load_settings()).manager in managers
    monkeypatch.setenv("YIVIDEO_CACHE__MODEL_DIR", str(tmp_path / "other"))
    assert shared_manager(load_settings()) not in managers
