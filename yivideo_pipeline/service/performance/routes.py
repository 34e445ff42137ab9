"""`/api/v1/performance`: summary, insights, dashboard, health of the system, export, clear."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from yivideo_pipeline.ledger.service_samples import MachineSample
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.performance.history import Tables
from yivideo_pipeline.service.performance.insights import (
    Insights,
    Situation,
    failures_of,
    health_of,
    recommend,
    trend_of,
)
from yivideo_pipeline.service.performance.operations import (
    Window,
    iso,
    parse_since,
    request_works,
    require_operation,
    stage_works,
)
from yivideo_pipeline.service.performance.summary import Summary, summarize, within
from yivideo_pipeline.service.performance.system import (
    SystemHealth,
    describe_service,
    read_runs,
    read_system,
)
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.scratch import scratch_folder

if TYPE_CHECKING:
    import pandas as pd

# PART service/performance/dashboard.py: All that a page of performance shows, in one answer: figures in steps of time beside each other.

MOST_STEPS = 60
_STEPS_S = (60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 7 * 86_400, 28 * 86_400)


class Series(BaseModel):
    """Figures side by side, one of each for every step; null where there is none.

    `at` are the steps' starts as Unix times. Megabytes are 2**20 bytes.
    """

    step_s: int
    at: list[int]
    count: list[int]
    failed: list[int]
    success_rate: list[float | None]
    p50_s: list[float | None]
    p95_s: list[float | None]
    p99_s: list[float | None]
    times_real_time: list[float | None]
    audio_minutes: list[float]
    throughput: list[float] = Field(description="Minutes of sound done in a minute of the clock")
    work_memory_mb: list[float | None] = Field(description="Highest of the operations")
    work_gpu_memory_mb: list[float | None]
    memory_pct: list[float | None] = Field(description="Highest, of the machine, while the service ran")
    service_memory_mb: list[float | None]
    cpu_pct: list[float | None] = Field(description="Mean")
    gpu_memory_pct: list[float | None]
    gpu_utilization_pct: list[float | None] = Field(description="Mean")
    queued: list[float | None] = Field(description="Highest number of runs that waited")
    running: list[float | None]
    requests: list[float | None] = Field(description="Highest number of requests inside the service")


class Dashboard(BaseModel):
    """All of it."""

    series: Series
    stages: dict[str, Summary]
    insights: Insights
    system: SystemHealth


def series_of(works: "pd.DataFrame", machine: list[MachineSample], window: Window) -> Series:
    """Put operations and the machine's samples into steps of time, each a whole number of minutes long."""
    import pandas as pd

    step_s = next((step for step in _STEPS_S if window.length_s / step <= MOST_STEPS), _STEPS_S[-1])
    first, last = int(window.start // step_s), int(window.end // step_s)
    index = pd.RangeIndex(max(first, last - MOST_STEPS), last + 1)
    chosen = within(works, window)
    columns = _of_works(chosen.assign(step=(chosen["at"] // step_s).astype(int)), step_s)
    columns = columns.join(_of_machine(machine, step_s), how="outer").reindex(index)
    counts = ["count", "failed", "audio_minutes", "throughput"]
    columns[counts] = columns[counts].fillna(0)
    told = {name: _listed(columns[name]) for name in columns}
    return Series.model_validate({"step_s": step_s, "at": [number * step_s for number in index], **told})


def _of_works(works: "pd.DataFrame", step_s: int) -> "pd.DataFrame":
    success = works["success"].astype(bool)
    heard = works["audio_s"].notna() & (works["duration_s"] > 0)
    marked = works.assign(failed=~success, ok=success, heard_s=works["duration_s"].where(heard))
    groups = marked.groupby("step")
    sums = groups[["failed", "ok", "audio_s", "heard_s"]].sum()
    table = groups["success"].count().to_frame("count")
    table["failed"] = sums["failed"]
    table["success_rate"] = sums["ok"] / table["count"]
    for percent in (50, 95, 99):
        table[f"p{percent}_s"] = groups["duration_s"].quantile(percent / 100)
    table["times_real_time"] = sums["audio_s"] / sums["heard_s"].where(sums["heard_s"] > 0)
    table["audio_minutes"] = sums["audio_s"] / 60
    table["throughput"] = sums["audio_s"] / step_s
    table["work_memory_mb"] = groups["memory_mb"].max()
    table["work_gpu_memory_mb"] = groups["gpu_memory_mb"].max()
    return table


def _of_machine(machine: list[MachineSample], step_s: int) -> "pd.DataFrame":
    import pandas as pd

    names = list(MachineSample.__dataclass_fields__)
    table = pd.DataFrame([[getattr(one, name) for name in names] for one in machine], columns=names)
    table = table.astype(float)
    groups = table.assign(step=(table["at"] // step_s).astype(int)).groupby("step")
    highest = groups[["memory_pct", "rss_mb", "gpu_memory_pct", "queued", "running", "places_taken"]].max()
    means = groups[["cpu_pct", "gpu_utilization_pct"]].mean()
    return highest.rename(columns={"rss_mb": "service_memory_mb", "places_taken": "requests"}).join(means)


def _listed(values: "pd.Series") -> list[float | None]:
    return [None if value != value else round(float(value), 4) for value in values]


# PART service/performance/export.py: Samples as a file, in the names of `telemetry.sample.PerformanceMetrics` and some more.

Format = Literal["json", "csv", "parquet"]
MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
NAMES = {
    "at": "timestamp",
    "operation": "operation",
    "duration_s": "duration",
    "memory_mb": "memory_usage_mb",
    "cpu_pct": "cpu_usage_percent",
    "gpu_memory_mb": "gpu_memory_usage_mb",
    "batch_size": "batch_size",
    "audio_s": "audio_duration",
    "success": "success",
    "key": "video",
    "run_id": "run_id",
    "kind": "error",
}
_ROWS = 5000
_BYTES = 1024 * 1024


def export_table(tables: Tables, operation: str | None, window: Window) -> "pd.DataFrame":
    """Return the samples of an operation, the oldest first; of all: each stage, and each request."""
    import pandas as pd

    if operation is None:
        works = pd.concat([stage_works(tables.samples), request_works(tables.requests)], ignore_index=True)
    else:
        works = tables.operations(operation)
    chosen = within(works, window).sort_values("at", kind="stable", ignore_index=True)
    return chosen[[*NAMES]].rename(columns=NAMES).astype({"batch_size": "Int64", "success": bool})


def write_export(table: "pd.DataFrame", kind: Format, folder: Path) -> Iterator[bytes]:
    """Return the file's bytes, piece by piece.

    Args:
        table: As `export_table` makes it.
        kind: The file's format.
        folder: Where there is room to work.
    """
    if kind == "parquet":
        return _parquet(table, folder)
    return _csv(table) if kind == "csv" else _json(table)


def _csv(table: "pd.DataFrame") -> Iterator[bytes]:
    for start in range(0, max(1, len(table)), _ROWS):
        yield table.iloc[start : start + _ROWS].to_csv(index=False, header=start == 0).encode()


def _json(table: "pd.DataFrame") -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(table), _ROWS):
        part = table.iloc[start : start + _ROWS].astype(object)
        rows = part.where(part.notna(), None).to_dict("records")
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        yield (",\n" if start else "").encode() + lines.encode()
    yield b"]\n"


def _parquet(table: "pd.DataFrame", folder: Path) -> Iterator[bytes]:
    with scratch_folder(folder) as work:
        path = work / "samples.parquet"
        table.to_parquet(path, engine="pyarrow", index=False)
        with path.open("rb") as file:
            while piece := file.read(_BYTES):
                yield piece


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
    system = _read_system(shared)
    with shared.performance.history.tables() as tables:
        return _insights(shared, tables, name, window, system)


@router.get("/dashboard")
def dashboard(shared: Shared, operation: Name = None, since: Since = "24h") -> Dashboard:
    """Tell all that a page of performance shows."""
    name, window = require_operation(operation), parse_since(since)
    system = _read_system(shared)
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
    return _read_system(shared)


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


def _read_system(shared: ServiceState) -> SystemHealth:
    settings, now = shared.settings, time.time()
    folders = {"home": settings.home, "models": settings.cache.model_dir}
    if shared.storage.files.folder:
        folders["results"] = shared.storage.files.folder
    service = describe_service(shared.models.manager, shared.admission, now - shared.started_at)
    instance = shared.performance.history.instance()
    return read_system(service, instance, folders, settings.alerts.memory_pct, now)


def _summarize(shared: ServiceState, tables: Tables, name: str | None, window: Window) -> Summary:
    runs = read_runs(shared.performance.history.instance())
    queued = (runs.queued, runs.running) if runs else None
    return summarize(tables, name, window, queued, shared.admission.taken)


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
        summed, chosen, shared.settings.speech.options, system.gpu, system.disks, system.daemons or []
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
