"""The dashboard: how the work goes; its script asks `/api/v1/performance` for the figures."""

from typing import Literal, get_args

from fastapi import APIRouter, Request, Response

from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.pages.dashboard_words import DASHBOARD, SCRIPT
from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.service.pages.uploads import upload_root

router = APIRouter(include_in_schema=False)

Period = Literal["1h", "24h", "7d", "30d"]
PERIODS: tuple[Period, ...] = get_args(Period)
USUAL: Period = "24h"
CHARTS = {
    "throughput": ("throughput",),
    "latency": ("p50_s", "p95_s", "p99_s"),
    "success": ("count", "failed"),
    "queue": ("queued", "running", "requests"),
    "memory": ("memory_pct", "cpu_pct"),
    "gpu": ("gpu_memory_pct", "gpu_utilization_pct"),
}
"""The charts, and the names of their lines in `performance.dashboard.Series`."""
KINDS = {"throughput": "bars", "success": "bars", "latency": "points"}
"""How they are drawn, where not by lines: work that ends now and then has no value in between."""


@router.get("/")
def dashboard(request: Request, shared: Shared, since: str = USUAL) -> Response:
    """Show the dashboard of a period that ends now."""
    return render(
        request,
        "dashboard.html",
        "dashboard",
        DASHBOARD,
        script=SCRIPT,
        since=since if since in PERIODS else USUAL,
        periods=PERIODS,
        charts=CHARTS,
        kinds=KINDS,
        folder=upload_root(shared.settings),
    )
