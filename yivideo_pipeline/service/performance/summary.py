"""Sums up operations: those of a window of time in one summary, or in a series of time steps."""

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from yivideo_pipeline.ledger.operation_queries import Window
from yivideo_pipeline.ledger.samples import MachineSample
from yivideo_pipeline.service.performance.history import Tables
from yivideo_pipeline.service.performance.operations import is_unusable, iso
from yivideo_pipeline.service.performance.system import RunCounts

if TYPE_CHECKING:
    import pandas as pd

MAX_STEPS = 60
_STEPS_S = (60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 7 * 86_400, 28 * 86_400)


class Percentiles(BaseModel):
    """Times of operations or of waits, in seconds; null if there are none."""

    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


class PeakAndMean(BaseModel):
    """The highest value and the mean; null if they are unknown."""

    peak: float | None = None
    mean: float | None = None


class QueueSummary(BaseModel):
    """What waits now, and how long the runs waited that started in the window."""

    queued: int | None = Field(description="Runs that wait now; null while Dagster has no instance")
    running: int | None = Field(description="Runs under way now")
    requests: int = Field(description="Requests in the service now, waiting or being processed")
    wait_s: Percentiles = Field(description="From a run's creation to its start")


class RetrySummary(BaseModel):
    """Attempts after the first one."""

    total: int
    mean: float | None = Field(description="Per operation")


class Summary(BaseModel):
    """The figures of one operation, or of all; failed operations have no time. Megabytes are 2**20 bytes."""

    operation: str | None = Field(description="null: whole videos, and recognitions over HTTP")
    since: str | None = Field(description="null: everything that is kept")
    until: str
    count: int
    succeeded: int
    failed: int = Field(description="Without those whose file can't be used")
    unusable: int = Field(description="Operations whose file can't be used: damaged, no media, no sound")
    success_rate: float | None = Field(description="From 0 to 1, of those whose file can be used")
    error_rates: dict[str, float] = Field(description="Share of all operations, by kind of error")
    duration_s: Percentiles
    times_real_time: float | None = Field(description="Seconds of audio per second of work")
    audio_minutes: float
    throughput: float | None = Field(description="Minutes of audio per minute of elapsed time")
    queue: QueueSummary
    retries: RetrySummary
    memory_mb: PeakAndMean
    gpu_memory_mb: PeakAndMean
    gpu_utilization_pct: PeakAndMean
    cpu_pct: PeakAndMean = Field(description="100 is one core")


class DashboardSeries(BaseModel):
    """Columns with one value per time step; null if there is none.

    `at` are the starts of the steps as Unix times. Megabytes are 2**20 bytes.
    """

    step_s: int
    at: list[int]
    count: list[int]
    failed: list[int]
    unusable: list[int]
    success_rate: list[float | None]
    p50_s: list[float | None]
    p95_s: list[float | None]
    p99_s: list[float | None]
    times_real_time: list[float | None]
    audio_minutes: list[float]
    throughput: list[float] = Field(description="Minutes of audio per minute of elapsed time")
    work_memory_mb: list[float | None] = Field(description="Highest of the operations")
    work_gpu_memory_mb: list[float | None]
    memory_pct: list[float | None] = Field(description="Highest, of the machine, while the service ran")
    service_memory_mb: list[float | None]
    cpu_pct: list[float | None] = Field(description="Mean")
    gpu_memory_pct: list[float | None]
    gpu_utilization_pct: list[float | None] = Field(description="Mean")
    queued: list[float | None] = Field(description="Highest number of runs that waited")
    running: list[float | None]
    requests: list[float | None] = Field(description="Highest number of requests in the service")


def summarize(
    tables: Tables, operation: str | None, window: Window, runs: RunCounts | None, requests: int
) -> Summary:
    """Sum up the operations that ended in a window.

    Args:
        tables: Reads the operations.
        operation: The operation's name; None for all.
        window: The window.
        runs: The runs that wait and those under way now; None if they are unknown.
        requests: The number of requests in the service now.
    """
    operations = tables.operations(operation, window)
    count, succeeded = len(operations), int(operations["success"].sum())
    unusable = int(is_unusable(operations).sum())
    audio_s = float(operations["audio_s"].sum())
    retries = operations["retries"]
    return Summary(
        operation=operation,
        since=iso(window.start) if window.start else None,
        until=iso(window.end),
        count=count,
        succeeded=succeeded,
        failed=count - succeeded - unusable,
        unusable=unusable,
        success_rate=success_rate(operations),
        error_rates=error_rates(operations),
        duration_s=percentiles_of(operations["duration_s"]),
        times_real_time=times_real_time(operations),
        audio_minutes=round(audio_s / 60, 3),
        throughput=_throughput(operations, audio_s, window),
        queue=QueueSummary(
            queued=runs.queued if runs else None,
            running=runs.running if runs else None,
            requests=requests,
            wait_s=percentiles_of(tables.run_waits(window)),
        ),
        retries=RetrySummary(total=int(retries.sum()), mean=_finite(retries.mean()) if count else None),
        memory_mb=_peak_and_mean(operations["memory_mb"]),
        gpu_memory_mb=_peak_and_mean(operations["gpu_memory_mb"]),
        gpu_utilization_pct=_peak_and_mean(operations["gpu_utilization_pct"]),
        cpu_pct=_peak_and_mean(operations["cpu_pct"]),
    )


def series_of(
    operations: "pd.DataFrame", machine: Sequence[MachineSample], window: Window
) -> DashboardSeries:
    """Sum up operations and samples of the machine in time steps, each a whole number of minutes long."""
    import pandas as pd

    step_s = next((step for step in _STEPS_S if window.length_s / step <= MAX_STEPS), _STEPS_S[-1])
    first, last = int(window.start // step_s), int(window.end // step_s)
    index = pd.RangeIndex(max(first, last - MAX_STEPS), last + 1)
    chosen = within(operations, window)
    columns = _operation_columns(chosen.assign(step=(chosen["at"] // step_s).astype(int)), step_s)
    columns = columns.join(_machine_columns(machine, step_s), how="outer").reindex(index)
    counts = ["count", "failed", "unusable", "audio_minutes", "throughput"]
    columns[counts] = columns[counts].fillna(0)
    values = {name: _listed(columns[name]) for name in columns}
    return DashboardSeries.model_validate(
        {"step_s": step_s, "at": [number * step_s for number in index], **values}
    )


def within(operations: "pd.DataFrame", window: Window) -> "pd.DataFrame":
    """Return the operations that ended in a window."""
    return operations[(operations["at"] >= window.start) & (operations["at"] < window.end)]


def percentiles_of(values: "pd.Series") -> Percentiles:
    """Return the mean, the percentiles (interpolated linearly) and the maximum."""
    known = values.dropna()
    if known.empty:
        return Percentiles()
    p50, p95, p99 = known.quantile([0.5, 0.95, 0.99])
    return Percentiles(
        mean=_finite(known.mean()), p50=_finite(p50), p95=_finite(p95), p99=_finite(p99),
        max=_finite(known.max()),
    )  # fmt: skip


def times_real_time(operations: "pd.DataFrame") -> float | None:
    """Return the seconds of audio per second of work, without reused results; None if there are none."""
    processed = operations[_is_processed(operations)]
    if processed.empty:
        return None
    return _finite(processed["audio_s"].sum() / processed["duration_s"].sum())


def success_rate(operations: "pd.DataFrame") -> float | None:
    """Return the share that succeeded of the operations whose file can be used; None without any."""
    usable = operations.loc[~is_unusable(operations), "success"].astype(bool)
    return float(usable.mean()) if len(usable) else None


def error_rates(operations: "pd.DataFrame") -> dict[str, float]:
    """Return the share of all operations that failed with each kind of error, the most frequent first."""
    return {kind: _rounded(count / len(operations)) for kind, count in error_counts(operations).items()}


def error_counts(operations: "pd.DataFrame") -> dict[str, int]:
    """Return how many operations failed with each kind of error, the most frequent first."""
    kinds = operations.loc[~operations["success"].astype(bool), "kind"].fillna("unknown").value_counts()
    return {str(kind): int(count) for kind, count in kinds.items()}


def _is_processed(operations: "pd.DataFrame") -> "pd.Series":
    """Return which operations have processed audio, and not reused an earlier result."""
    return operations["audio_s"].notna() & (operations["duration_s"] > 0)


def _throughput(operations: "pd.DataFrame", audio_s: float, window: Window) -> float | None:
    if operations.empty:
        return None
    start = window.start or float((operations["at"] - operations["duration_s"].fillna(0)).min())
    return _finite(audio_s / max(1.0, window.end - start))


def _operation_columns(operations: "pd.DataFrame", step_s: int) -> "pd.DataFrame":
    success = operations["success"].astype(bool)
    processed_s = operations["duration_s"].where(_is_processed(operations))
    unusable = is_unusable(operations)
    marked = operations.assign(
        failed=~success & ~unusable, unusable=unusable, succeeded=success, processed_s=processed_s
    )
    groups = marked.groupby("step")
    sums = groups[["failed", "unusable", "succeeded", "audio_s", "processed_s"]].sum()
    table = groups["success"].count().to_frame("count")
    table[["failed", "unusable"]] = sums[["failed", "unusable"]]
    usable = table["count"] - table["unusable"]
    table["success_rate"] = sums["succeeded"] / usable.where(usable > 0)
    for percent in (50, 95, 99):
        table[f"p{percent}_s"] = groups["duration_s"].quantile(percent / 100)
    table["times_real_time"] = sums["audio_s"] / sums["processed_s"].where(sums["processed_s"] > 0)
    table["audio_minutes"] = sums["audio_s"] / 60
    table["throughput"] = sums["audio_s"] / step_s
    table["work_memory_mb"] = groups["memory_mb"].max()
    table["work_gpu_memory_mb"] = groups["gpu_memory_mb"].max()
    return table


def _machine_columns(machine: Sequence[MachineSample], step_s: int) -> "pd.DataFrame":
    import pandas as pd

    names = [field.name for field in fields(MachineSample)]
    table = pd.DataFrame([[getattr(one, name) for name in names] for one in machine], columns=names)
    table = table.astype(float)
    groups = table.assign(step=(table["at"] // step_s).astype(int)).groupby("step")
    highest = groups[["memory_pct", "rss_mb", "gpu_memory_pct", "queued", "running", "places_taken"]].max()
    means = groups[["cpu_pct", "gpu_utilization_pct"]].mean()
    return highest.rename(columns={"rss_mb": "service_memory_mb", "places_taken": "requests"}).join(means)


def _peak_and_mean(values: "pd.Series") -> PeakAndMean:
    known = values.dropna()
    return PeakAndMean(peak=_finite(known.max()), mean=_finite(known.mean())) if len(known) else PeakAndMean()


def _listed(values: "pd.Series") -> list[float | None]:
    return [None if value != value else round(float(value), 4) for value in values]


def _finite(value: float) -> float | None:
    return _rounded(value) if math.isfinite(value) else None


def _rounded(value: float) -> float:
    return round(float(value), 6)
