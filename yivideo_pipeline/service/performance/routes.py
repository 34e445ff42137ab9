"""`/api/v1/performance`: summary, insights, dashboard, health of the system, export, clear."""

import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.performance.advice import Situation, recommend
from yivideo_pipeline.service.performance.dashboard import Dashboard, series_of
from yivideo_pipeline.service.performance.export import MEDIA_TYPES, Format, export_table, write_export
from yivideo_pipeline.service.performance.history import Tables
from yivideo_pipeline.service.performance.insights import Insights, failures_of, health_of, trend_of
from yivideo_pipeline.service.performance.operations import STAGES, require_operation
from yivideo_pipeline.service.performance.summary import Summary, summarize, within
from yivideo_pipeline.service.performance.system import SystemHealth, read_runs, read_system
from yivideo_pipeline.service.performance.window import Window, iso, parse_since

router = APIRouter(prefix="/api/v1/performance", tags=["performance"])

Name = Annotated[
    str | None,
    Query(max_length=100, description="A stage, such as transcript, or whisperx.generate_subtitles"),
]
Since = Annotated[str | None, Query(max_length=40, description="24h, 7d or 2026-01-31T12:00:00Z")]


class ExportCall(BaseModel):
    """What to export."""

    model_config = ConfigDict(extra="forbid")

    format: Format = "json"
    operation: str | None = Field(None, max_length=100, description="null: every stage and request")
    since: str | None = Field(None, max_length=40, description="null: all that is kept")


class ClearCall(BaseModel):
    """The confirmation: `clear`."""

    model_config = ConfigDict(extra="forbid")

    confirm: Literal["clear"]


class Cleared(BaseModel):
    """What was forgotten: our samples up to now. Dagster's history is as it was."""

    samples: int
    up_to: str


@router.get("/summary")
def summary(shared: Shared, operation: Name = None, since: Since = None) -> Summary:
    """Sum up one operation, or all: how many, how well, how fast, at what cost."""
    name, window = require_operation(operation), parse_since(since)
    with shared.performance.history.tables() as tables:
        return _summarize(shared, tables, name, window)


@router.get("/insights")
def insights(shared: Shared, operation: Name = None, since: Since = "24h") -> Insights:
    """Tell what the figures mean, what would help, and whether it gets better or worse."""
    name, window = require_operation(operation), parse_since(since)
    system = read_system(shared, time.time())
    with shared.performance.history.tables() as tables:
        return _insights(shared, tables, name, window, system)


@router.get("/dashboard")
def dashboard(shared: Shared, operation: Name = None, since: Since = "24h") -> Dashboard:
    """Tell all that a page of performance shows."""
    name, window = require_operation(operation), parse_since(since)
    system = read_system(shared, time.time())
    machine = shared.ledger.machine.since(window.start)
    with shared.performance.history.tables() as tables:
        works = tables.operations(name)
        if not window.start and len(works):  # all of it begins with the first
            window = Window(float(works["at"].min()), window.end)
        return Dashboard(
            series=series_of(works, machine, window),
            stages={stage: _summarize(shared, tables, stage, window) for stage in STAGES},
            insights=_insights(shared, tables, name, window, system),
            system=system,
        )


@router.get("/system-health")
def system_health(shared: Shared) -> SystemHealth:
    """Tell how the machine, Dagster and the service are now."""
    return read_system(shared, time.time())


@router.post(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {kind.partition(";")[0]: {} for kind in MEDIA_TYPES.values()}}},
)
def export(call: ExportCall, shared: Shared) -> StreamingResponse:
    """Send the samples as a file, in the names of a performance sample."""
    name, window = require_operation(call.operation), parse_since(call.since)
    with shared.performance.history.tables() as tables:
        table = export_table(tables, name, window)
    pieces = write_export(table, call.format, shared.settings.home / "tmp")
    file = f"yivideo-performance-{iso(window.end)[:10]}.{call.format}"
    headers = {"Content-Disposition": f'attachment; filename="{file}"'}
    return StreamingResponse(pieces, media_type=MEDIA_TYPES[call.format], headers=headers)


@router.post("/clear")
def clear(_call: ClearCall, shared: Shared) -> Cleared:
    """Forget our own samples up to now, for good; Dagster's history stays."""
    now = time.time()
    return Cleared(samples=shared.performance.history.clear(now), up_to=iso(now))


def _summarize(shared: ServiceState, tables: Tables, name: str | None, window: Window) -> Summary:
    runs = read_runs(shared.performance.history.instance())
    queued = (runs.queued, runs.running) if runs else None
    return summarize(tables, name, window, queued, shared.admission.inside)


def _insights(
    shared: ServiceState, tables: Tables, name: str | None, window: Window, system: SystemHealth
) -> Insights:
    works = tables.operations(name)
    chosen = within(works, window)
    summed = _summarize(shared, tables, name, window)
    alerts = shared.performance.alerts.standing()
    trend = trend_of(works, window) if window.start else None
    health, reasons = health_of(summed, alerts, trend)
    situation = Situation(
        summed, chosen, shared.settings.speech, system.gpu, system.disks, system.daemons or []
    )
    return Insights(
        overall_health=health,
        reasons=reasons,
        recommendations=recommend(situation),
        alerts=alerts,
        trend=trend,
        failures=failures_of(chosen),
        summary=summed,
    )
