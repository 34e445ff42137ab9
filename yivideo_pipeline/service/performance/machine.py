"""This machine as it is now: processor, memory, disk, GPU; what can't be known is null, with the reason."""

import os
import shutil
import threading
from functools import cache
from pathlib import Path

import psutil
from pydantic import BaseModel, Field

from yivideo_pipeline.settings.cgroup import read_cpu_limit, read_memory_limit
from yivideo_pipeline.telemetry.nvml import Nvml, NvmlFailed, open_nvml

MB = 2**20
GLANCE_S = 0.1
"""Processor use is told of so long a moment."""


class Cpu(BaseModel):
    """Processors; `used_pct` is of all of them."""

    used_pct: float
    cores: int | None = Field(description="That may be used here, by the container's limit too")
    load_1m: float | None = Field(description="Mean number of processes that wanted to run, last minute")


class Memory(BaseModel):
    """Memory of the machine, or of the container where it has less; in MB of 2**20 bytes."""

    total_mb: float
    available_mb: float
    used_pct: float
    service_mb: float = Field(description="Of the service itself")


class Disk(BaseModel):
    """The file system of one of our folders; in MB of 2**20 bytes."""

    total_mb: float
    free_mb: float
    used_pct: float


class Gpu(BaseModel):
    """The GPU that CUDA calls the first one; null where it does not say."""

    utilization_pct: float | None
    memory_used_mb: float | None
    memory_total_mb: float | None
    memory_used_pct: float | None
    service_memory_mb: float | None = Field(description="Of the service itself")
    power_w: float | None
    temperature_c: float | None


_gpu_lock = threading.Lock()


@cache
def _nvml() -> Nvml | None:
    return open_nvml()


def read_cpu() -> Cpu:
    """Return the use of the processors in a moment; takes that moment."""
    cores = read_cpu_limit() or os.cpu_count()
    return Cpu(used_pct=psutil.cpu_percent(GLANCE_S), cores=cores, load_1m=round(psutil.getloadavg()[0], 2))


def read_memory() -> Memory:
    """Return what memory there is and how much of it is used."""
    memory = psutil.virtual_memory()
    limit, left = read_memory_limit() or (memory.total, memory.available)
    total, available = min(memory.total, limit), min(memory.available, left)
    return Memory(
        total_mb=round(total / MB, 1),
        available_mb=round(available / MB, 1),
        used_pct=round(100 * (1 - available / total), 2),
        service_mb=round(psutil.Process().memory_info().rss / MB, 1),
    )


def read_disk(folder: Path) -> Disk | None:
    """Return the room on a folder's file system; None where there is no such folder."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(
        total_mb=round(usage.total / MB, 1),
        free_mb=round(usage.free / MB, 1),
        used_pct=round(100 * (1 - usage.free / usage.total), 2),
    )


def read_gpu() -> Gpu | None:
    """Return what the GPU says; None where there is none, or its driver has failed."""
    with _gpu_lock:
        nvml = _nvml()
        if nvml is None:
            return None
        try:
            reading = nvml.read()
        except NvmlFailed:
            return None
    used, total = reading.device_memory_mb, reading.device_memory_total_mb
    return Gpu(
        utilization_pct=reading.utilization_pct,
        memory_used_mb=used,
        memory_total_mb=total,
        memory_used_pct=round(100 * used / total, 2) if used is not None and total else None,
        service_memory_mb=reading.process_memory_mb,
        power_w=reading.power_w,
        temperature_c=reading.temperature_c,
    )
