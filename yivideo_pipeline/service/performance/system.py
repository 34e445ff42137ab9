"""The health of the whole: this machine, Dagster's queue and daemon, the service's places and model."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from yivideo_pipeline.service.performance.machine import (
    Cpu,
    Disk,
    Gpu,
    Memory,
    read_cpu,
    read_disk,
    read_gpu,
    read_memory,
)
from yivideo_pipeline.service.performance.window import iso

if TYPE_CHECKING:
    import dagster as dg

    from yivideo_pipeline.service.dependencies import ServiceState

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


def read_system(shared: "ServiceState", now: float) -> SystemHealth:
    """Look at everything now."""
    instance = shared.performance.history.instance()
    gpu, disks, daemons = read_gpu(), _disks(shared), read_daemons(instance)
    memory = read_memory()
    reasons = {f"disks.{name}": NO_FOLDER for name, disk in disks.items() if disk is None}
    if gpu is None:
        reasons["gpu"] = NO_GPU
    if instance is None:
        reasons["queue"] = reasons["daemons"] = NO_INSTANCE
    elif not daemons:
        reasons["daemons"] = NO_BEAT
    service = _service(shared, now)
    problems = _problems(shared, memory, disks, daemons, service)
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


def _disks(shared: "ServiceState") -> dict[str, Disk | None]:
    settings = shared.settings
    folders = {"home": settings.home, "models": settings.cache.model_dir}
    if shared.storage.files.folder:
        folders["results"] = shared.storage.files.folder
    # A folder that is made at first use lies on its parent's file system.
    return {
        name: next((disk for one in (folder, *folder.parents) if (disk := read_disk(one))), None)
        for name, folder in folders.items()
    }


def _service(shared: "ServiceState", now: float) -> ServiceHealth:
    health = shared.models.manager.health_check()
    return ServiceHealth(
        uptime_s=round(now - shared.started_at, 1),
        places=shared.admission.places,
        places_taken=shared.admission.inside,
        model_loaded=health.loaded,
        model=health.model,
        leases=health.leases,
        leases_waiting=health.waiting,
        last_error=health.last_error,
    )


def _problems(
    shared: "ServiceState",
    memory: Memory,
    disks: dict[str, Disk | None],
    daemons: list[Daemon],
    service: ServiceHealth,
) -> list[str]:
    found = []
    if memory.used_pct > shared.settings.alerts.memory_pct:
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
