"""`/api/v1/performance`: summary, insights, dashboard, system health, and export and clearing of samples."""

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from yivideo_pipeline.ledger.operation_queries import Window, request_operations, stage_operations
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.performance.history import TEXTS, Tables, queries_of
from yivideo_pipeline.service.performance.insights import (
    Insights,
    Situation,
    failures_of,
    health_of,
    recommend,
    trend_of,
)
from yivideo_pipeline.service.performance.operations import iso, parse_since, require_operation
from yivideo_pipeline.service.performance.summary import (
    DashboardSeries,
    Summary,
    series_of,
    summarize,
    within,
)
from yivideo_pipeline.service.performance.system import (
    SystemHealth,
    WorkerHealth,
    count_runs,
    describe_service,
    describe_worker,
    read_system,
)
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.file_store import scratch_folder

if TYPE_CHECKING:
    import pandas as pd

router = APIRouter(prefix="/api/v1/performance", tags=["performance"])

OperationName = Annotated[
    str | None,
    Query(max_length=100, description="A stage, such as transcript, or whisperx.generate_subtitles"),
]
Since = Annotated[str | None, Query(max_length=40, description="24h, 7d or 2026-01-31T12:00:00Z")]

ExportFormat = Literal["json", "csv", "parquet"]
EXPORT_TYPES: dict[ExportFormat, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
EXPORT_NAMES = {
    "at": "timestamp",
    "operation": "operation",
    "duration_s": "duration",
    "memory_mb": "memory_usage_mb",
    "cpu_pct": "cpu_usage_percent",
    "gpu_memory_mb": "gpu_memory_usage_mb",
    "batch_size": "batch_size",
    "audio_s": "audio_duration",
    "success": "success",
    "reused": "reused",
    "key": "video",
    "run_id": "run_id",
    "kind": "error",
}
"""The exported columns: those of `telemetry.measure.PerformanceMetrics`, and some more."""
SHORTEST_CHART_S = 600.0
"""Charts begin with the first figure, so that they are no empty area in the first hours, or so long ago."""
_BYTES_AT_ONCE = 1024 * 1024


class Dashboard(BaseModel):
    """All that the dashboard shows."""

    series: DashboardSeries
    stages: dict[str, Summary]
    insights: Insights
    system: SystemHealth


class ExportRequest(BaseModel):
    """What to export."""

    model_config = ConfigDict(extra="forbid")

    format: ExportFormat = "json"
    operation: str | None = Field(None, max_length=100, description="null: every stage and request")
    since: str | None = Field(None, max_length=40, description="null: everything that is kept")


class ClearRequest(BaseModel):
    """The confirmation `clear`; without one the samples are exported before they are deleted."""

    model_config = ConfigDict(extra="forbid")

    confirm: Literal["clear"] | None = None


ALL_SAMPLES = ExportRequest()
UNCONFIRMED = ClearRequest()


class ClearedSamples(BaseModel):
    """The samples that were deleted. Dagster's history is unchanged."""

    samples: int
    up_to: str
    exported_to: str | None = Field(description="File that has them; null where the call confirmed")


@router.get("/summary")
def summary(shared: Shared, operation: OperationName = None, since: Since = None) -> Summary:
    """Sum up one operation, or all: counts, success, speed and cost."""
    name, window = require_operation(operation), parse_since(since)
    with shared.performance.history.tables() as tables:
        return _summarize(shared, tables, name, window)


@router.get("/insights")
def insights(shared: Shared, operation: OperationName = None, since: Since = "24h") -> Insights:
    """Return what the figures mean, what would help, and whether work becomes faster or slower."""
    name, window = require_operation(operation), parse_since(since)
    system = _read_system(shared)
    with shared.performance.history.tables() as tables:
        return _insights(shared, tables, name, window, system)


@router.get("/dashboard")
def dashboard(shared: Shared, operation: OperationName = None, since: Since = "24h") -> Dashboard:
    """Return all that the dashboard shows."""
    name, window = require_operation(operation), parse_since(since)
    is_alerted = any(alert.name == "memory" for alert in shared.performance.alerts.active())
    system = _read_system(shared, 100.0 if is_alerted else None)
    machine = shared.ledger.machine.since(window.start)
    with shared.performance.history.tables() as tables:
        operations = tables.operations(name, window)
        begun = [*operations["at"].nsmallest(1), *(one.at for one in machine[:1])]
        first = min([*begun, window.end - SHORTEST_CHART_S])
        if not window.start:  # without a start, the first operation is the start
            window = Window(first, window.end)
        return Dashboard(
            series=series_of(operations, machine, Window(max(first, window.start), window.end)),
            stages={stage: _summarize(shared, tables, stage, window) for stage in STAGES},
            insights=_insights(shared, tables, name, window, system),
            system=system,
        )


@router.get("/system-health")
def system_health(shared: Shared) -> SystemHealth:
    """Return the present health of the machine, of Dagster and of the service."""
    return _read_system(shared)


@router.get("/workers")
def workers(shared: Shared) -> list[WorkerHealth]:
    """Return what each process is at work on now, on all hosts that share the database."""
    return list(map(describe_worker, shared.ledger.workers.busy()))


@router.post(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {kind.partition(";")[0]: {} for kind in EXPORT_TYPES.values()}}},
)
def export(shared: Shared, call: ExportRequest = ALL_SAMPLES) -> StreamingResponse:
    """Return the samples as a file, with the column names of a performance sample."""
    name, window = require_operation(call.operation), parse_since(call.since)
    with shared.performance.history.tables() as tables:
        pieces = _stored_export(tables, name, window, call.format, shared.scratch)
    file = f"yivideo-performance-{iso(window.end)[:10]}.{call.format}"
    headers = {"Content-Disposition": f'attachment; filename="{file}"'}
    return StreamingResponse(pieces, media_type=EXPORT_TYPES[call.format], headers=headers)


@router.post("/clear")
def clear(shared: Shared, call: ClearRequest = UNCONFIRMED) -> ClearedSamples:
    """Delete all samples up to now, for good; Dagster's history stays.

    Without a confirmation they are first exported as JSON, to a file in `exports` of the home folder.
    """
    history, now = shared.performance.history, time.time()
    if call.confirm:
        return ClearedSamples(samples=history.clear(now), up_to=iso(now), exported_to=None)
    # To the microsecond: a second call must not replace the file of the first.
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = shared.settings.home / "exports" / f"performance-{moment}.json"
    samples = history.clear(now, lambda tables: _keep_export(tables, now, target))
    return ClearedSamples(samples=samples, up_to=iso(now), exported_to=str(target))


def _keep_export(tables: Tables, now: float, target: Path) -> None:
    """Write all samples up to a time to a file that is whole or not there."""
    chunks = _export_chunks(tables, None, Window(0.0, math.nextafter(now, math.inf)))
    target.parent.mkdir(exist_ok=True)
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        file.writelines(_json_pieces(chunks))
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)


def _read_system(shared: ServiceState, max_memory_pct: float | None = None) -> SystemHealth:
    settings, now = shared.settings, time.time()
    folders = {"home": settings.home, "models": settings.cache.model_dir}
    if shared.storage.files.folder:
        folders["results"] = shared.storage.files.folder
    service = describe_service(shared.models.manager, shared.admission, now - shared.started_at)
    instance = shared.performance.history.instance()
    workers = shared.ledger.workers.busy()
    limit_pct = settings.alerts.memory_pct if max_memory_pct is None else max_memory_pct
    return read_system(service, instance, workers, folders, limit_pct, now)


def _summarize(shared: ServiceState, tables: Tables, name: str | None, window: Window) -> Summary:
    runs = count_runs(shared.performance.history.instance())
    return summarize(tables, name, window, runs, shared.admission.taken)


def _insights(
    shared: ServiceState, tables: Tables, name: str | None, window: Window, system: SystemHealth
) -> Insights:
    wide = Window(window.before().start, window.end) if window.start else window
    operations = tables.operations(name, wide)
    chosen = within(operations, window)
    summary = _summarize(shared, tables, name, window)
    alerts = shared.performance.alerts.active()
    trend = trend_of(operations, window) if window.start else None
    health, reasons = health_of(summary, alerts, trend)
    options = shared.models.local.choose(shared.settings.speech.options).options
    situation = Situation(summary, chosen, options, system.gpu, system.disks, system.daemons or [])
    return Insights(
        overall_health=health,
        reasons=reasons,
        recommendations=recommend(situation),
        alerts=alerts,
        trend=trend,
        failures=failures_of(chosen),
        summary=summary,
    )


def _export_chunks(tables: Tables, operation: str | None, window: Window) -> "Iterator[pd.DataFrame]":
    """Yield the samples of an operation, the oldest first; without a name, each stage and each request."""
    every = [stage_operations(window), request_operations(window)]
    queries = every if operation is None else queries_of(operation, window)
    for chunk in tables.chunks(*queries):
        yield chunk[[*EXPORT_NAMES]].rename(columns=EXPORT_NAMES).astype({"batch_size": "Int64"})


def _stored_export(
    tables: Tables, operation: str | None, window: Window, kind: ExportFormat, scratch: Path
) -> Iterator[bytes]:
    """Write an export to a file, so that a slow client holds nothing open; return its bytes, by pieces."""
    chunks = _export_chunks(tables, operation, window)
    with ExitStack() as stack:
        path = stack.enter_context(scratch_folder(scratch)) / "samples"
        if kind == "parquet":
            _write_parquet(chunks, path)
        else:
            with path.open("wb") as file:
                file.writelines(_csv_pieces(chunks) if kind == "csv" else _json_pieces(chunks))
        return _read_and_remove(path, stack.pop_all())


def _read_and_remove(path: Path, folder: ExitStack) -> Iterator[bytes]:
    with folder, path.open("rb") as file:
        while piece := file.read(_BYTES_AT_ONCE):
            yield piece


def _csv_pieces(chunks: "Iterator[pd.DataFrame]") -> Iterator[bytes]:
    yield (",".join(EXPORT_NAMES.values()) + "\n").encode()
    for chunk in chunks:
        yield chunk.to_csv(index=False, header=False).encode()


def _json_pieces(chunks: "Iterator[pd.DataFrame]") -> Iterator[bytes]:
    yield b"["
    separator = ""
    for chunk in chunks:
        part = chunk.astype(object)
        rows = part.where(part.notna(), None).to_dict("records")
        yield separator.encode() + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
        separator = ",\n"
    yield b"]\n"


def _write_parquet(chunks: "Iterator[pd.DataFrame]", path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"batch_size": pa.int64(), "success": pa.bool_(), "reused": pa.bool_()}
    kinds |= {EXPORT_NAMES[name]: pa.string() for name in TEXTS if name in EXPORT_NAMES}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in EXPORT_NAMES.values()])
    with parquet.ParquetWriter(path, schema) as file:
        for chunk in chunks:
            file.write_table(pa.Table.from_pandas(chunk, schema, preserve_index=False))
