"""What `benchmarks.gpu` measures of a GPU, its machine and a run, and how it is shown."""

import os
import platform
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.machine.gpu import open_nvml, read_driver_version
from yivideo_pipeline.settings.resolve import Hardware
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.telemetry.measure import GpuWatch

SAMPLE_S = 0.1
PACKAGES = ("ctranslate2", "faster-whisper", "dagster", "numpy")
Figures = dict[str, Any]


def describe_machine(hardware: Hardware, device: str, libraries: str) -> dict[str, str]:
    """Return what the figures depend on."""
    gpus = ", ".join(f"{gpu.name}, {gpu.memory_total_bytes / 1e9:.1f} GB" for gpu in hardware.gpus)
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    host = f"{hardware.cores} cores, {platform.machine()}, Python {platform.python_version()}"
    return {
        "device": device,
        "GPU": f"{gpus}, driver {read_driver_version()}" if gpus else "none",
        "CTranslate2 there": ", ".join(sorted(hardware.cuda_compute_types)) or hardware.cuda_problem,
        "cuBLAS": libraries,
        "host": f"{host}, {packages}, torch {_torch_version()}",
        "load average": f"{os.getloadavg()[0]:.1f}",
    }


def _torch_version() -> str:
    asked = [sys.executable, "-c", "import torch; print(torch.__version__)"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "is not installed"


@contextmanager
def watch_gpu() -> Generator[Figures]:
    """Sample the GPU until the block ends; the figures are there then, None where there is no GPU.

    Yields:
        Use in percent, memory in MB beyond what was in use before, power in W.
    """
    found: Figures = dict.fromkeys(("gpu_mean_pct", "gpu_peak_pct", "gpu_mb", "gpu_w"))
    nvml = open_nvml()
    if nvml is None:
        yield found
        return
    before = nvml.read().device_memory_mb or 0.0
    watch = GpuWatch(nvml, SAMPLE_S)
    watch.start()
    try:
        yield found
    finally:
        watch.stop()
        found |= {"gpu_mean_pct": watch.utilization.mean, "gpu_peak_pct": watch.utilization.peak}
        found |= {"gpu_mb": (watch.device_memory.peak or before) - before, "gpu_w": watch.power.mean}


def stage_times(home: Path) -> dict[str, float]:
    """Return how long each stage of the home's last video took, in seconds."""
    samples = open_ledger(home).samples.samples()
    taken = dict(zip(samples["stage"], samples["wall_s"], strict=True))
    return {stage: round(taken[stage], 3) for stage in STAGES if taken.get(stage) is not None}


def programs_table(title: str) -> Table:
    """Return an empty table of programs."""
    table = Table("program", title=title, title_justify="left")
    for heading in ("wall s", "× real time", "CPU s", "host MB", "GPU mean", "GPU peak", "GPU MB", "WER %"):
        table.add_column(heading, justify="right")
    return table


def cells(found: Figures, audio_s: float) -> list[str]:
    """Return a program's row but for its name; `found` may hold a note on why it failed instead."""
    if "note" in found:
        return ["failed"]
    return [
        f"{found['wall_s']:.2f}",
        f"{audio_s / found['wall_s']:.1f}",
        f"{found['cpu_s']:.1f}",
        f"{found['host_mb']:.0f}",
        show(found["gpu_mean_pct"], "%"),
        show(found["gpu_peak_pct"], "%"),
        show(found["gpu_mb"]),
        "" if found.get("wer") is None else f"{100 * found['wer']:.1f}",
    ]


def show(value: float | None, unit: str = "") -> str:
    """Return a whole number, or a dash where there is none."""
    return "-" if value is None else f"{value:.0f}{unit}"
