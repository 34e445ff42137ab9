"""The health of the whole: this machine, Dagster's queue and daemon, the service's places and model."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from pydantic import BaseModel, Field

from yivideo_pipeline.machine import host
from yivideo_pipeline.machine.gpu import read_first_gpu
from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.performance.operations import iso
from yivideo_pipeline.speech.manager import ModelManager

if TYPE_CHECKING:
    import dagster as dg

# PART service/performance/machine.py: This machine as it is now: processor, memory, disk, GPU; what can't be known is null, with the reason.

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


def read_cpu() -> Cpu:
    """Return the use of the processors in a moment; takes that moment."""
    return Cpu(
        used_pct=psutil.cpu_percent(GLANCE_S),
        cores=host.count_cores(),
        load_1m=round(psutil.getloadavg()[0], 2),
    )


def read_memory() -> Memory:
    """Return what memory there is and how much of it is used."""
    memory = host.read_memory()
    return Memory(
        total_mb=round(memory.total_bytes / MB, 1),
        available_mb=round(memory.available_bytes / MB, 1),
        used_pct=round(memory.used_pct, 2),
        service_mb=round(host.read_process_memory_bytes() / MB, 1),
    )


def read_disk(folder: Path) -> Disk | None:
    """Return the room on a folder's file system; None where it can't be looked at."""
    try:
        space = host.read_disk(folder)
    except OSError:
        return None
    return Disk(
        total_mb=round(space.total_bytes / MB, 1),
        free_mb=round(space.free_bytes / MB, 1),
        used_pct=round(space.used_pct, 2),
    )


def read_gpu() -> Gpu | None:
    """Return what the GPU says; None where there is none, or its driver has failed."""
    reading = read_first_gpu()
    if reading is None:
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


NO_INSTANCE = "Dagster has no instance here yet; start `yivideo up`"
NO_BEAT = "The daemon has never run; start `yivideo up`"
NO_GPU = "No GPU that NVIDIA's driver tells of"
NO_FOLDER = "The folder is not there, or not on this machine"


class Runs(BaseModel):
    """Dagster's runs."""

    queued: int
    running: int


class Daemon(BaseModel):
    """One part of Dagster's daemon."""

    name: str
    heartbeat_age_s: float
    healthy: bool = Field(description="Heard of within two minutes, and without an error")
    errors: list[str]


class ServiceHealth(BaseModel):
    """The service itself."""

    uptime_s: float
    places: int
    places_taken: int
    model_loaded: bool
    model: str | None
    leases: int
    leases_waiting: int
    last_error: str | None


class SystemHealth(BaseModel):
    """All of it; what can't be known is null, and `reasons` says why, by the field's name."""

    at: str
    status: str = Field(description="ok; degraded: something in `problems`")
    problems: list[str]
    cpu: Cpu
    memory: Memory
    disks: dict[str, Disk | None] = Field(description="By what is kept there")
    gpu: Gpu | None
    queue: Runs | None
    daemons: list[Daemon] | None
    service: ServiceHealth
    reasons: dict[str, str]


def read_system(
    service: ServiceHealth,
    instance: "dg.DagsterInstance | None",
    folders: Mapping[str, Path],
    max_memory_pct: float,
    now: float,
) -> SystemHealth:
    """Return the health of the machine, of Dagster and of the service, as they are now.

    Args:
        service: As `describe_service` returns it.
        instance: Dagster's instance; None where there is none yet.
        folders: The folders whose disks are reported, by what is kept there.
        max_memory_pct: Memory use above this is a problem.
        now: Unix time.
    """
    gpu, disks, daemons = read_gpu(), _disks(folders), read_daemons(instance)
    memory = read_memory()
    reasons = {f"disks.{name}": NO_FOLDER for name, disk in disks.items() if disk is None}
    if gpu is None:
        reasons["gpu"] = NO_GPU
    if instance is None:
        reasons["queue"] = reasons["daemons"] = NO_INSTANCE
    elif not daemons:
        reasons["daemons"] = NO_BEAT
    problems = _problems(memory, max_memory_pct, disks, daemons, service)
    return SystemHealth(
        at=iso(now),
        status="degraded" if problems else "ok",
        problems=problems,
        cpu=read_cpu(),
        memory=memory,
        disks=disks,
        gpu=gpu,
        queue=read_runs(instance),
        daemons=daemons or None,
        service=service,
        reasons=reasons,
    )


def read_runs(instance: "dg.DagsterInstance | None") -> Runs | None:
    """Return Dagster's queue; None without an instance."""
    if instance is None:
        return None
    from yivideo_pipeline.history.instance import read_queue

    queue = read_queue(instance)
    return Runs(queued=queue.queued, running=queue.running)


def read_daemons(instance: "dg.DagsterInstance | None") -> list[Daemon]:
    """Return the parts of Dagster's daemon that have ever run."""
    if instance is None:
        return []
    from yivideo_pipeline.history.instance import read_heartbeats

    return [
        Daemon(name=beat.daemon, heartbeat_age_s=beat.age_s, healthy=beat.healthy, errors=list(beat.errors))
        for beat in read_heartbeats(instance)
    ]


def _disks(folders: Mapping[str, Path]) -> dict[str, Disk | None]:
    return {name: read_disk(folder) for name, folder in folders.items()}


def describe_service(manager: ModelManager, admission: Admission, uptime_s: float) -> ServiceHealth:
    """Return the health of the service itself: its model and its slots for requests."""
    health = manager.health_check()
    return ServiceHealth(
        uptime_s=round(uptime_s, 1),
        places=admission.slots,
        places_taken=admission.taken,
        model_loaded=health.loaded,
        model=health.model,
        leases=health.leases,
        leases_waiting=health.waiting,
        last_error=health.last_error,
    )


def _problems(
    memory: Memory,
    max_memory_pct: float,
    disks: dict[str, Disk | None],
    daemons: list[Daemon],
    service: ServiceHealth,
) -> list[str]:
    found = []
    if memory.used_pct > max_memory_pct:
        found.append(f"Memory is used to {memory.used_pct:.0f}%")
    found += [
        f"The disk of {name} has {disk.free_mb / 1024:.1f} GB left"
        for name, disk in disks.items()
        if disk and disk.free_mb < 1024
    ]
    late = [daemon.name for daemon in daemons if not daemon.healthy]
    if late:
        found.append(f"Dagster's daemon is silent or in trouble: {', '.join(late)}; is `yivideo up` running?")
    if service.last_error:
        found.append(f"The model's last load or call failed: {service.last_error}")
    return found
