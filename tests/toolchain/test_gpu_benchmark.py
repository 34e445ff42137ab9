"""`make bench-gpu` on a machine without a GPU: the same code, and stand-ins for the driver's figures."""

import json
import os
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks import gpu, gpu_figures, gpu_ladder
from benchmarks.gpu_figures import cells, watch_gpu
from benchmarks.gpu_libraries import provide_cublas
from yivideo_pipeline.machine.gpu import GpuReading
from yivideo_pipeline.settings.options import ComputeType, Device, SpeechOptions


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.delenv("YIVIDEO_SPEECH_CORPUS", raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    monkeypatch.setattr(sys, "argv", ["gpu", "--device", "cpu", "--models", "tiny.en", *arguments])
    return gpu.main()


@pytest.mark.model
def test_too_large_a_batch_goes_down_the_ladder_and_the_figures_are_written(
    tiny_weights: object,
    model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    output = tmp_path / "figures.json"
    where = ["--model-dir", str(model_dir), "--output", str(output)]
    assert run(monkeypatch, *where, "--minutes", "0.1", "--only", "ladder") == 0
    figures = json.loads(output.read_text())
    assert figures["machine"]["device"] == "cpu"
    assert figures["ladder"]["words"] > 20
    *_, last = figures["ladder"]["steps"]  # as many as there are windows at once here
    assert last == "memory ran out with cpu, int8, batch 2; going on with cpu, int8, batch 1"
    assert last in capsys.readouterr().out


def test_no_part_begins_when_the_time_is_over(
    model_dir: Path,
    tiny_weights: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    where = ["--model-dir", str(model_dir), "--minutes", "0.1"]
    assert run(monkeypatch, *where, "--budget-s", "0") == 0
    printed = capsys.readouterr().out
    assert all(f"{name}: left out" in printed for name in gpu.PARTS)


def test_a_machine_with_another_cublas_gets_a_link_of_the_wanted_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, scratch = tmp_path / "there", tmp_path / "scratch"
    there.mkdir()
    (there / "libcublas.so.13").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(there))
    assert "is a link to" in provide_cublas(scratch)
    assert os.environ["LD_LIBRARY_PATH"].split(":") == [str(scratch), str(there), str(there)]
    assert (scratch / "libcublas.so.12").resolve() == there / "libcublas.so.13"


def test_the_cublas_that_is_wanted_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("libcublas.so.12", "libcublas.so.13"):
        (tmp_path / name).touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert provide_cublas(tmp_path / "scratch") == str(tmp_path / "libcublas.so.12")
    assert not (tmp_path / "scratch").exists()


class Driver:
    """In place of a GPU's driver: a card with so many bytes free."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.taken: list[int] = []

    def cuMemGetInfo_v2(self, free: Any, total: Any) -> int:
        free._obj.value = self.free
        return 0

    def cuMemAlloc_v2(self, address: Any, size: Any) -> int:
        self.taken.append(size.value)
        self.free -= size.value
        return 0

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: 0


def test_a_card_is_filled_but_for_the_room_that_is_wanted() -> None:
    driver = Driver(free=10_000)
    card = gpu_ladder.Card(driver)
    for room in (1000, 400, 400):
        card.fill(room)
    assert driver.taken == [9000, 600]


def test_what_the_driver_refuses_is_told() -> None:
    driver = Driver(free=10_000)
    driver.cuMemAlloc_v2 = lambda address, size: 2
    with pytest.raises(RuntimeError, match="cuMemAlloc_v2 failed with CUDA's error 2"):
        gpu_ladder.Card(driver).fill(0)


class Roomy:
    """In place of an engine: it runs out of memory only when the card has been filled a third time."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def transcribe(self, audio: object, options: object) -> Any:
        return SimpleNamespace(words=["a"])

    def describe(self) -> Any:
        return SimpleNamespace(steps=("a step",) if len(self._driver.taken) > 2 else ())


def test_on_a_gpu_the_room_is_halved_until_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(free=2**40)
    monkeypatch.setattr(gpu_ladder, "Card", partial(gpu_ladder.Card, driver))
    options = SpeechOptions(model_name="base", device=Device.CUDA, compute_type=ComputeType.FLOAT16)
    found = gpu_ladder.climb_down(cast(Any, Roomy(driver)), options, cast(Any, None))
    first, second, third = driver.taken
    room = 2**40 - first
    assert (second, third) == (pytest.approx(room / 2, abs=1), pytest.approx(room / 4, abs=1))
    assert found["room_mb"] == round(room / 4 / 2**20)
    assert (found["steps"], found["words"]) == (["a step"], 1)


class Readings:
    """In place of a GPU's driver: an idle GPU, then a busy one."""

    def __init__(self) -> None:
        self.asked = 0

    def read(self) -> GpuReading:
        self.asked += 1
        busy = self.asked > 1
        return GpuReading(utilization_pct=80.0 * busy, device_memory_mb=500.0 + 1000 * busy, power_w=60.0)

    def give_up(self, reason: str) -> None:
        raise AssertionError(reason)


def test_the_memory_of_a_gpu_counts_from_what_was_in_use_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_figures, "open_nvml", Readings)
    with watch_gpu() as found:
        pass
    assert found == {"gpu_mean_pct": 80.0, "gpu_peak_pct": 80.0, "gpu_mb": 1000.0, "gpu_w": 60.0}
    host = {"wall_s": 10.0, "cpu_s": 12.34, "host_mb": 800.4, "wer": 0.0271}
    assert cells(host | found, audio_s=661) == [
        "10.00", "66.1", "12.3", "800", "80%", "80%", "1000", "2.7"
    ]  # fmt: skip


def test_without_a_gpu_its_figures_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_figures, "open_nvml", lambda: None)
    with watch_gpu() as found:
        pass
    assert set(found.values()) == {None}
    assert cells({"note": "exit 1"}, audio_s=661) == ["failed"]
