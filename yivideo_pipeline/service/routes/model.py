"""The model: what is loaded, load it anew, unload it, what it was used for."""

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
from yivideo_pipeline.service.models import FIXED
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.show import SettingChange

router = APIRouter(prefix="/api/v1/model", tags=["model"])

DRAIN_S = 600.0
"""So long an unload waits for those who use the model."""


class Memory(BaseModel):
    """What the service takes; `gpu_mb` is null without a GPU, or where its driver does not say."""

    rss_mb: float
    gpu_mb: float | None


class Refusal(BaseModel):
    """Settings that were read and refused; the ones before stay."""

    at: datetime
    lines: tuple[str, ...]


class ModelInfo(BaseModel):
    """What runs where; null while nothing is loaded.

    `steps` say how the model was made smaller when memory ran out, `configured` what the settings ask for.
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
    memory: Memory
    idle_unload_s: float | None
    configured: SpeechOptions
    refused_config: Refusal | None


class FieldChange(BaseModel):
    """A setting that differs; one that needs a restart stays as it is until then."""

    field: str
    old: str
    new: str
    needs_load: bool
    needs_restart: bool


class ReloadAnswer(BaseModel):
    """What differs, and whether the next request loads a model."""

    changes: tuple[FieldChange, ...]
    needs_load: bool
    needs_restart: bool
    warnings: tuple[str, ...]


class UnloadAnswer(BaseModel):
    """Whether there was a model to unload."""

    unloaded: bool


class UsageAnswer(BaseModel):
    """What was done since the service started.

    `reloads` are those of the `loads` that came in place of another model; `leased_s` adds up all
    requests, side by side or not; `audio_s` is the sound that was transcribed.
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
    memory: Memory


@router.get("/info")
def info(shared: Shared) -> ModelInfo:
    """Tell which model is loaded, where it runs, who uses it, and what the settings ask for."""
    manager, settings = shared.models.manager, shared.settings
    health, engine, refused = manager.health_check(), manager.info(), shared.models.refused
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
        refused_config=Refusal(at=refused.at, lines=refused.lines) if refused else None,
    )


@router.post("/reload")
def reload(
    shared: Shared,
    force: Annotated[bool, Query(description="Load the model anew though nothing asks for it")] = False,
) -> ReloadAnswer:
    """Read the settings again; requests in work finish with the old ones, the next ones get the new.

    Settings that can't be are refused with all that is wrong with them (422), and the old ones stay.
    """
    found = shared.models.reload(force)
    return ReloadAnswer(
        changes=tuple(map(_tell, found.changes)),
        needs_load=found.needs_load,
        needs_restart=found.needs_restart,
        warnings=found.warnings,
    )


@router.post("/unload")
def unload(
    shared: Shared,
    drain: Annotated[bool, Query(description="Wait for those who use the model now")] = False,
) -> UnloadAnswer:
    """Give the model's memory back; the next request loads it again. 409 while somebody uses it."""
    manager = shared.models.manager
    before = manager.usage().unloads
    try:
        manager.unload(drain, DRAIN_S)
    except ModelBusy as busy:
        hint = "Try again later" if drain else "Let the unload wait for them: ?drain=true"
        raise Refused(409, busy.kind, busy.message, hint) from busy
    return UnloadAnswer(unloaded=manager.usage().unloads > before)


@router.get("/usage")
def usage(shared: Shared) -> UsageAnswer:
    """Tell how often a model was loaded, for how long it was used, and for how much sound."""
    return UsageAnswer(**asdict(shared.models.manager.usage()), memory=_memory())


def _tell(change: SettingChange) -> FieldChange:
    return FieldChange(
        field=change.field,
        old=redact(change.old),
        new=redact(change.new),
        needs_load=change.needs_reload,
        needs_restart=change.field in FIXED,
    )


def _memory() -> Memory:
    return Memory(rss_mb=round(read_process_memory_bytes() / BYTES_PER_MB, 1), gpu_mb=_gpu_mb())


def _gpu_mb() -> float | None:
    reading = read_first_gpu()
    if reading is None:
        return None
    return reading.device_memory_mb if reading.process_memory_mb is None else reading.process_memory_mb
