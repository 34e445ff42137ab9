"""`/api/v1/model`: what is loaded, reload, unload, and what the model was used for."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from yivideo_pipeline.errors.redact import redact
from yivideo_pipeline.errors.tree import ModelBusy
from yivideo_pipeline.machine.gpu import BYTES_PER_MB, read_first_gpu
from yivideo_pipeline.machine.host import read_process_memory_bytes
from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.model_host import Reload
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.show import SettingChange

router = APIRouter(prefix="/api/v1/model", tags=["model"])

DRAIN_S = 600.0
"""An unload waits for present leases for so long at most."""


class ServiceMemory(BaseModel):
    """The memory of the service; `gpu_mb` is null without a GPU, or where its driver does not report it."""

    rss_mb: float
    gpu_mb: float | None


class RejectedSettings(BaseModel):
    """Settings that a reload rejected; the ones before stay."""

    at: datetime
    lines: tuple[str, ...]


class ModelInfo(BaseModel):
    """The loaded model and where it runs; null while nothing is loaded.

    `steps` are the ways in which the model was made smaller when memory ran out; `configured` are the options
    of the settings, `choice` is the model that they mean here and why, where they leave it to `auto`.
    """

    loaded: bool
    model: str | None = None
    revision: str | None = None
    device: str | None = None
    compute_type: str | None = None
    batch_size: int | None = None
    threads: int | None = None
    backend: str | None = None
    steps: tuple[str, ...] = ()
    leases: int
    waiting: int
    healthy: bool
    last_error: str | None
    memory: ServiceMemory
    idle_unload_s: float | None
    configured: SpeechOptions
    choice: str | None
    refused_config: RejectedSettings | None


class FieldChange(BaseModel):
    """A setting that differs; one that needs a restart keeps its old value until then."""

    field: str
    old: str
    new: str
    needs_load: bool
    needs_restart: bool


class ReloadResponse(BaseModel):
    """What differs, and whether the next request loads a model."""

    changes: tuple[FieldChange, ...]
    needs_load: bool
    needs_restart: bool
    warnings: tuple[str, ...]


class UnloadResponse(BaseModel):
    """Whether a model was unloaded."""

    unloaded: bool


class UsageResponse(BaseModel):
    """What the model was used for since the service started.

    `reloads` are those of the `loads` that replaced another model; `leased_s` adds up all requests, also
    simultaneous ones; `audio_s` is the duration of the transcribed audio.
    """

    loads: int
    failed_loads: int
    reloads: int
    unloads: int
    leases: int
    leased_s: float
    loading_s: float
    audio_s: float
    last_used_at: datetime | None
    memory: ServiceMemory


@router.get("/info")
def info(shared: Shared) -> ModelInfo:
    """Return which model is loaded, where it runs, how many use it, and the options of the settings."""
    manager, settings = shared.models.manager, shared.settings
    choice = shared.models.local.choose(settings.speech.options)
    health, engine, rejected = manager.health_check(), manager.info(), shared.models.rejected_config
    return ModelInfo(
        loaded=engine is not None,
        **(asdict(engine) if engine else {}),
        leases=health.leases,
        waiting=health.waiting,
        healthy=health.healthy,
        last_error=health.last_error,
        memory=_memory(),
        idle_unload_s=settings.service.idle_unload_s,
        configured=settings.speech.options,
        choice=choice.sentence if choice.reason else None,
        refused_config=RejectedSettings(at=rejected.at, lines=rejected.lines) if rejected else None,
    )


@router.post("/reload")
def reload(
    shared: Shared,
    force: Annotated[bool, Query(description="Load the model again even if no change requires it")] = False,
) -> ReloadResponse:
    """Read the settings again; requests in progress finish with the old ones, the next ones use the new.

    Settings that are not valid are rejected with all that is wrong with them (422), and the old ones stay.
    """
    found = shared.models.reload(force)
    return ReloadResponse(
        changes=tuple(_field_change(change, found) for change in found.changes),
        needs_load=found.needs_load,
        needs_restart=bool(found.waiting),
        warnings=found.warnings,
    )


@router.post("/unload")
def unload(
    shared: Shared,
    drain: Annotated[bool, Query(description="Wait for the requests that use the model now")] = False,
) -> UnloadResponse:
    """Free the model's memory; the next request loads the model again. 409 while requests use it."""
    manager = shared.models.manager
    before = manager.usage().unloads
    try:
        manager.unload(drain, DRAIN_S)
    except ModelBusy as busy:
        hint = "Try again later" if drain else "Let the unload wait for them: ?drain=true"
        raise Refused(409, busy.kind, busy.message, hint) from busy
    return UnloadResponse(unloaded=manager.usage().unloads > before)


@router.get("/usage")
def usage(shared: Shared) -> UsageResponse:
    """Return how often a model was loaded, how long it was used, and for how much audio."""
    return UsageResponse(**asdict(shared.models.manager.usage()), memory=_memory())


def _field_change(change: SettingChange, found: Reload) -> FieldChange:
    return FieldChange(
        field=change.field,
        old=redact(change.old),
        new=redact(change.new),
        needs_load=change.needs_reload,
        needs_restart=change.field in found.waiting,
    )


def _memory() -> ServiceMemory:
    gpu = read_first_gpu()
    gpu_mb = None
    if gpu:  # the driver may not report the memory of a single process
        gpu_mb = gpu.device_memory_mb if gpu.process_memory_mb is None else gpu.process_memory_mb
    return ServiceMemory(rss_mb=round(read_process_memory_bytes() / BYTES_PER_MB, 1), gpu_mb=gpu_mb)
