"""Whether the service is alive and ready, and its Prometheus metrics."""

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from pydantic import BaseModel

from yivideo_pipeline.errors.tree import SystemFault
from yivideo_pipeline.history.instance import require_databases
from yivideo_pipeline.ledger.database import require_intact
from yivideo_pipeline.ledger.postgres import require_answer
from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.metrics import Gauges
from yivideo_pipeline.settings.settings import Settings

router = APIRouter(tags=["health"])


class HealthResponse(BaseModel):
    """The service is alive."""

    status: Literal["ok"] = "ok"
    uptime_s: float


class ReadinessResponse(BaseModel):
    """Whether the service accepts work; `reason` says why not."""

    status: Literal["ready", "not_ready"]
    reason: str | None = None
    model: str | None = None
    device: str | None = None
    loaded: bool
    places: int
    places_taken: int


@router.get("/health")
async def health(shared: Shared) -> HealthResponse:
    """Report that the service is alive, at once and without asking the model."""
    return HealthResponse(uptime_s=round(time.time() - shared.started_at, 3))


@router.get("/health/ready", responses={503: {"model": ReadinessResponse}})
def ready(shared: Shared, response: Response) -> ReadinessResponse:
    """Report whether the service accepts work.

    It does not while all slots are taken, after the model has failed, or where a database is damaged or does
    not answer.
    """
    model, admission = shared.models.manager.health_check(), shared.admission
    is_full = admission.taken >= admission.slots
    reason = _find_damage(shared.settings)
    if not model.healthy:
        reason = "the last load or call failed"
    elif is_full:
        reason = "all slots are taken"
    response.status_code = 503 if reason else 200
    return ReadinessResponse(
        status="not_ready" if reason else "ready",
        reason=reason,
        model=model.model,
        device=model.device,
        loaded=model.loaded,
        places=admission.slots,
        places_taken=admission.taken,
    )


def _find_damage(settings: Settings) -> str | None:
    home, url = settings.home, settings.storage.read_database_url()
    try:
        if url:
            require_answer(url)
        else:
            require_intact(home)
            require_databases(home / "dagster")
    except SystemFault as error:
        return str(error)
    return None


@router.get(
    "/metrics",
    tags=["performance"],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}, "application/openmetrics-text": {}}}},
)
def metrics(shared: Shared, accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
    """Return all metrics in Prometheus' text format, or in OpenMetrics where the client accepts it."""
    performance = shared.performance
    performance.history.refresh_unless_busy()
    registry = CollectorRegistry()
    registry.register(performance.counters.registry)
    registry.register(
        Gauges(
            shared.started_at,
            shared.admission,
            shared.models.manager,
            performance.history.instance(),
            performance.alerts.active(),
            shared.ledger.workers.busy(),
            performance.backlog,
        )
    )
    encode, content_type = choose_encoder(accept)
    return Response(encode(registry), headers={"Content-Type": content_type, "Vary": "Accept"})
