"""`GET /metrics`: all figures for Prometheus."""

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from yivideo_pipeline.service.gauges import Gauges
from yivideo_pipeline.service.state import Shared

router = APIRouter(tags=["performance"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(shared: Shared) -> Response:
    """Tell all figures in Prometheus' text format."""
    shared.performance.history.refresh_unless_busy()
    live = CollectorRegistry()
    live.register(Gauges(shared))
    text = generate_latest(shared.performance.counters.registry) + generate_latest(live)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
