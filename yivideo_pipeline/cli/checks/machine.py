"""The machine: GPU, memory, disks."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from yivideo_pipeline.cli.checks.result import Result
from yivideo_pipeline.cli.space import megabytes
from yivideo_pipeline.settings.hardware import Hardware
from yivideo_pipeline.settings.options import Device, SpeechOptions
from yivideo_pipeline.settings.resolve import check_machine
from yivideo_pipeline.telemetry.nvml import NvmlFailed, open_nvml

SCARCE_BYTES = 2 * 10**9
FULL_BYTES = 10**8


def check_gpu(hardware: Hardware, options: SpeechOptions) -> Iterable[Result]:
    """The GPUs by name, their driver, and whether it tells how they are doing."""
    if not hardware.gpus:
        wanted = options.device is Device.CUDA
        advice = "Install the NVIDIA driver, or set speech.device to auto" if wanted else ""
        yield Result("GPU", "failure" if wanted else "ok", f"none: {hardware.cuda_problem}", advice)
        return
    driver = _driver_version()
    for gpu in hardware.gpus:
        memory = f"{megabytes(gpu.memory_free_bytes)} of {megabytes(gpu.memory_total_bytes)} free"
        yield Result("GPU", "ok", f"{gpu.name}, driver {driver}, {memory}")
    if not hardware.has_cuda:
        advice = "Update the driver, or look at CUDA_VISIBLE_DEVICES; until then the CPU is used"
        yield Result("GPU", "warning", f"there, but of no use: {hardware.cuda_problem}", advice)
    yield _read_figures()


def check_memory(hardware: Hardware, options: SpeechOptions) -> Iterable[Result]:
    """Memory and processors, and what of the speech settings does not fit them."""
    free, total = hardware.memory_available_bytes, hardware.memory_total_bytes
    text = f"{megabytes(free)} of {megabytes(total)} free, {hardware.cores} processors"
    yield Result("memory", "ok", text)
    for finding in check_machine(options, hardware):
        level = "failure" if finding.level == "error" else "warning"
        yield Result("fit", level, f"speech.{finding}")


def check_disks(folders: Iterable[Path]) -> Iterable[Result]:
    """Free space, once for each disk that the folders are on."""
    seen: set[int] = set()
    for folder in folders:
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if there.stat().st_dev in seen:
            continue
        seen.add(there.stat().st_dev)
        free = shutil.disk_usage(there).free
        text = f"{megabytes(free)} free for {folder}; an hour of sound takes 115 MB"
        if free < FULL_BYTES:
            yield Result("disk", "failure", text, "Free some space, or set storage.root to another disk")
        elif free < SCARCE_BYTES:
            yield Result("disk", "warning", text, "Free some space before larger work")
        else:
            yield Result("disk", "ok", text)


def _driver_version() -> str:
    import pynvml

    pynvml.nvmlInit()
    try:
        return str(pynvml.nvmlSystemGetDriverVersion())
    finally:
        pynvml.nvmlShutdown()


def _read_figures() -> Result:
    device = open_nvml()
    if device is None:
        return Result("NVML", "warning", "the GPU can't be watched", "Runs work, without figures of the GPU")
    try:
        reading = device.read()
    except NvmlFailed as error:
        return Result("NVML", "warning", f"{error}", "Runs work, without figures of the GPU")
    figures = {"%": reading.utilization_pct, "W": reading.power_w, "°C": reading.temperature_c}
    told = ", ".join(f"{value:.0f} {unit}" for unit, value in figures.items() if value is not None)
    return Result("NVML", "ok", told or "answers, but tells neither use nor power nor temperature")
