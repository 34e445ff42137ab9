"""The health of the system as it is now: the machine, Dagster's queue and daemons, the service and its model.

Values that can't be known are null, and `reasons` says why.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from pydantic import BaseModel, Field

from yivideo_pipeline.ledger.workers import BusyWorker
from yivideo_pipeline.machine import host
from yivideo_pipeline.machine.gpu import read_first_gpu
from yivideo_pipeline.remote.replicas import ReplicaModels
from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.pages.translations import Said
from yivideo_pipeline.service.performance.operations import iso
from yivideo_pipeline.speech.manager import ModelManager

if TYPE_CHECKING:
    import dagster as dg

MB = 2**20
CPU_SAMPLE_S = 0.1
"""CPU use is measured over this time."""
MIN_FREE_MB = 1024

NO_INSTANCE = "Dagster has no instance here yet; start `yivideo up`"
NO_DAEMON = "The daemon has never run; start `yivideo up`"
NO_GPU = "NVIDIA's driver reports no GPU"
NO_FOLDER = "The folder does not exist on this machine"


class CpuHealth(BaseModel):
    """The processors; `used_pct` is of all of them together."""

    used_pct: float
    cores: int | None = Field(description="Usable here, within the container's limit")
    load_1m: float | None = Field(description="Mean number of runnable processes, last minute")


class MemoryHealth(BaseModel):
    """Memory of the machine, or of the container if it has less; in MB of 2**20 bytes."""

    total_mb: float
    available_mb: float
    used_pct: float
    service_mb: float = Field(description="Of the service itself")


class DiskHealth(BaseModel):
    """The file system of one folder; in MB of 2**20 bytes."""

    total_mb: float
    free_mb: float
    used_pct: float


class GpuHealth(BaseModel):
    """CUDA's first GPU; null for what its driver does not report."""

    utilization_pct: float | None
    memory_used_mb: float | None
    memory_total_mb: float | None
    memory_used_pct: float | None
    service_memory_mb: float | None = Field(description="Of the service itself")
    power_w: float | None
    temperature_c: float | None


class RunCounts(BaseModel):
    """Dagster's runs that wait, are under way, and have failed within a day."""

    queued: int
    running: int
    failed_today: int
    waiting_s: float = Field(description="How long the oldest of those that wait has done so")
    is_paused: bool = Field(False, description="No waiting run begins: the queue is paused")


class DaemonHealth(BaseModel):
    """One part of Dagster's daemon."""

    name: str
    heartbeat_age_s: float
    healthy: bool = Field(description="A heartbeat within two minutes, and no error")
    errors: list[str]


class WorkerHealth(BaseModel):
    """A process at work on a video, on any host that shares the database."""

    host: str
    pid: int
    key: str
    stage: str
    since: str
    fraction: float | None = Field(description="How much of the stage is done, 0 to 1")
    silent_s: float | None = Field(description="Seconds since its last sign of life")
    run_id: str


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
    """The whole system; `reasons` says by the field's name why a value is null."""

    at: str
    status: str = Field(description="ok, or degraded if there are `problems`")
    problems: list[Said]
    cpu: CpuHealth
    memory: MemoryHealth
    disks: dict[str, DiskHealth | None] = Field(description="By what is kept there")
    gpu: GpuHealth | None
    queue: RunCounts | None
    daemons: list[DaemonHealth] | None
    workers: list[WorkerHealth]
    service: ServiceHealth
    reasons: dict[str, str]


def read_system(
    service: ServiceHealth,
    instance: "dg.DagsterInstance | None",
    workers: Iterable[BusyWorker],
    folders: Mapping[str, Path],
    max_memory_pct: float,
    now: float,
) -> SystemHealth:
    """Return the health of the machine, of Dagster and of the service.

    Args:
        service: As `describe_service` returns it.
        instance: Dagster's instance; None if there is none yet.
        workers: The processes at work.
        folders: The folders whose disks are reported, by what is kept there.
        max_memory_pct: Memory use above this is a problem.
        now: Unix time.
    """
    gpu, daemons, memory = read_gpu(), read_daemons(instance), read_memory()
    disks = {name: read_disk(folder) for name, folder in folders.items()}
    reasons = {f"disks.{name}": NO_FOLDER for name, disk in disks.items() if disk is None}
    if gpu is None:
        reasons["gpu"] = NO_GPU
    if instance is None:
        reasons["queue"] = reasons["daemons"] = NO_INSTANCE
    elif not daemons:
        reasons["daemons"] = NO_DAEMON
    problems = _problems_of(memory, max_memory_pct, disks, daemons, service)
    return SystemHealth(
        at=iso(now),
        status="degraded" if problems else "ok",
        problems=problems,
        cpu=read_cpu(),
        memory=memory,
        disks=disks,
        gpu=gpu,
        queue=count_runs(instance),
        daemons=daemons or None,
        workers=list(map(describe_worker, workers)),
        service=service,
        reasons=reasons,
    )


def describe_service(
    manager: ModelManager | ReplicaModels, admission: Admission, uptime_s: float
) -> ServiceHealth:
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


def describe_worker(worker: BusyWorker) -> WorkerHealth:
    """Return a process at work as the API shows it."""
    return WorkerHealth.model_validate({**asdict(worker), "since": iso(worker.since)})


def read_cpu() -> CpuHealth:
    """Measure the use of the processors; this takes `CPU_SAMPLE_S`."""
    return CpuHealth(
        used_pct=psutil.cpu_percent(CPU_SAMPLE_S),
        cores=host.count_cores(),
        load_1m=round(psutil.getloadavg()[0], 2),
    )


def read_memory() -> MemoryHealth:
    """Return how much memory there is, and how much of it is used."""
    memory = host.read_memory()
    return MemoryHealth(
        total_mb=round(memory.total_bytes / MB, 1),
        available_mb=round(memory.available_bytes / MB, 1),
        used_pct=round(memory.used_pct, 2),
        service_mb=round(host.read_process_memory_bytes() / MB, 1),
    )


def read_disk(folder: Path) -> DiskHealth | None:
    """Return the space on a folder's file system; None if it can't be read."""
    try:
        space = host.read_disk(folder)
    except OSError:
        return None
    return DiskHealth(
        total_mb=round(space.total_bytes / MB, 1),
        free_mb=round(space.free_bytes / MB, 1),
        used_pct=round(space.used_pct, 2),
    )


def read_gpu() -> GpuHealth | None:
    """Return what the GPU's driver reports; None if there is no GPU, or the driver has failed."""
    reading = read_first_gpu()
    if reading is None:
        return None
    used, total = reading.device_memory_mb, reading.device_memory_total_mb
    return GpuHealth(
        utilization_pct=reading.utilization_pct,
        memory_used_mb=used,
        memory_total_mb=total,
        memory_used_pct=round(100 * used / total, 2) if used is not None and total else None,
        service_memory_mb=reading.process_memory_mb,
        power_w=reading.power_w,
        temperature_c=reading.temperature_c,
    )


def count_runs(instance: "dg.DagsterInstance | None") -> RunCounts | None:
    """Count Dagster's runs; None without an instance."""
    if instance is None:
        return None
    from yivideo_pipeline.history.instance import read_queue

    queue = read_queue(instance)
    return RunCounts.model_validate(asdict(queue))


def read_daemons(instance: "dg.DagsterInstance | None") -> list[DaemonHealth]:
    """Return the parts of Dagster's daemon that have ever run."""
    if instance is None:
        return []
    from yivideo_pipeline.history.instance import read_heartbeats

    return [
        DaemonHealth(
            name=beat.daemon, heartbeat_age_s=beat.age_s, healthy=beat.healthy, errors=list(beat.errors)
        )
        for beat in read_heartbeats(instance)
    ]


def _problems_of(
    memory: MemoryHealth,
    max_memory_pct: float,
    disks: Mapping[str, DiskHealth | None],
    daemons: list[DaemonHealth],
    service: ServiceHealth,
) -> list[str]:
    problems = []
    if memory.used_pct > max_memory_pct:
        problems.append(f"{memory.used_pct:.0f}% of the memory is in use")
    problems += [
        f"Only {disk.free_mb / 1024:.1f} GB are free on the disk of {name}"
        for name, disk in disks.items()
        if disk and disk.free_mb < MIN_FREE_MB
    ]
    unhealthy = [daemon.name for daemon in daemons if not daemon.healthy]
    if unhealthy:
        names = f": {', '.join(unhealthy)}" if len(unhealthy) < len(daemons) else ""
        problems.append(f"Dagster's daemon does not respond or reports errors{names}; run `yivideo up`")
    if service.last_error:
        problems.append(f"The last load or call of the model failed: {service.last_error}")
    return problems
