"""Whether the service lives, and whether it can take work."""

import time
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import BaseModel

from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.metrics import Gauges

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The service lives."""

    status: Literal["ok"] = "ok"
    uptime_s: float


class Ready(BaseModel):
    """Whether work can be taken; `reason` says why not."""

    status: Literal["ready", "not_ready"]
    reason: str | None = None
    model: str | None = None
    device: str | None = None
    loaded: bool
    places: int
    places_taken: int


@router.get("/health")
async def health(shared: Shared) -> Alive:
    """Tell that the service lives; asks nothing of the model, so it answers at once whatever is in work."""
    return Alive(uptime_s=round(time.time() - shared.started_at, 3))


@router.get("/health/ready", responses={503: {"model": Ready}})
async def ready(shared: Shared, response: Response) -> Ready:
    """Tell whether work can be taken: 503 while all places are taken or the model failed."""
    found = shared.models.manager.health_check()
    full = shared.admission.inside >= shared.admission.places
    reason = "the last load or call failed" if not found.healthy else "all places are taken" if full else None
    response.status_code = 503 if reason else 200
    return Ready(
        status="not_ready" if reason else "ready",
        reason=reason,
        model=found.model,
        device=found.device,
        loaded=found.loaded,
        places=shared.admission.places,
        places_taken=shared.admission.inside,
    )


@router.get(
    "/metrics",
    tags=["performance"],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
)
def metrics(shared: Shared) -> Response:
    """Tell all figures in Prometheus' text format."""
    performance = shared.performance
    performance.history.refresh_unless_busy()
    live = CollectorRegistry()
    live.register(
        Gauges(
            shared.started_at,
            shared.admission,
            shared.models.manager,
            performance.history.instance(),
            performance.alerts.standing(),
        )
    )
    text = generate_latest(performance.counters.registry) + generate_latest(live)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
