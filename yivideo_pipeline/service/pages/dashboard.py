"""The dashboard `/`: its script asks `/api/v1/performance/dashboard` for the figures of a period."""

from typing import Literal, get_args

from fastapi import APIRouter, Request, Response

from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.service.pages.uploads import upload_root

router = APIRouter(include_in_schema=False)

Period = Literal["1h", "24h", "7d", "30d"]
PERIODS: tuple[Period, ...] = get_args(Period)
DEFAULT_PERIOD: Period = "24h"
CHARTS = {
    "throughput": ("throughput",),
    "latency": ("p50_s", "p95_s", "p99_s"),
    "success": ("count", "failed"),
    "queue": ("queued", "running", "requests"),
    "memory": ("memory_pct", "cpu_pct"),
    "gpu": ("gpu_memory_pct", "gpu_utilization_pct"),
}
"""The charts, and the fields of `performance.routes.DashboardSeries` that are their lines."""
CHART_KINDS = {"throughput": "bars", "success": "bars", "latency": "points"}
"""How a chart is drawn if not by lines: operations end now and then, with no values in between."""


@router.get("/")
def dashboard(request: Request, shared: Shared, since: str = DEFAULT_PERIOD) -> Response:
    """Show the dashboard of a period that ends now."""
    return render(
        request,
        "dashboard.html",
        "dashboard",
        nav="dashboard",
        since=since if since in PERIODS else DEFAULT_PERIOD,
        periods=PERIODS,
        charts=CHARTS,
        kinds=CHART_KINDS,
        folder=upload_root(shared.settings.library),
    )
