"""One operation, or all, in figures."""

import math
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from yivideo_pipeline.service.performance.history import Tables
from yivideo_pipeline.service.performance.operations import Window, iso

if TYPE_CHECKING:
    import pandas as pd


class Seconds(BaseModel):
    """Times of single operations, or of waits; null of none."""

    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


class Span(BaseModel):
    """The highest value, and the mean; null where it is not known."""

    peak: float | None = None
    mean: float | None = None


class Queue(BaseModel):
    """Who waits: Dagster's runs, and how long those that started in the window had waited."""

    queued: int | None = Field(description="Runs that wait now; null where Dagster has no instance yet")
    running: int | None = Field(description="Runs under way now")
    requests: int = Field(description="Requests inside the service now, waiting or in work")
    wait_s: Seconds = Field(description="From a run's making to its start")


class Retries(BaseModel):
    """Attempts beyond the first."""

    total: int
    mean: float | None = Field(description="An operation")


class Summary(BaseModel):
    """What is told of one operation, or of all; what failed has no time. Megabytes are 2**20 bytes."""

    operation: str | None = Field(description="null: whole videos, and recognitions over HTTP")
    since: str | None = Field(description="null: all that is kept")
    until: str
    count: int
    succeeded: int
    failed: int
    success_rate: float | None = Field(description="From 0 to 1")
    error_rates: dict[str, float] = Field(description="Share of all operations, by kind of error")
    duration_s: Seconds
    times_real_time: float | None = Field(description="Seconds of sound done in a second of work")
    audio_minutes: float
    throughput: float | None = Field(description="Minutes of sound done in a minute of the clock")
    queue: Queue
    retries: Retries
    memory_mb: Span
    gpu_memory_mb: Span
    gpu_utilization_pct: Span
    cpu_pct: Span = Field(description="100 is one core")


def summarize(
    tables: Tables, operation: str | None, window: Window, queued: tuple[int, int] | None, requests: int
) -> Summary:
    """Sum up the operations that ended in a window.

    Args:
        tables: All there is.
        operation: Which; None: all.
        window: When.
        queued: Runs that wait, and those under way; None where it is not known.
        requests: Requests inside the service.
    """
    works = within(tables.operations(operation), window)
    count, succeeded = len(works), int(works["success"].sum())
    audio_s = float(works["audio_s"].sum())
    return Summary(
        operation=operation,
        since=iso(window.start) if window.start else None,
        until=iso(window.end),
        count=count,
        succeeded=succeeded,
        failed=count - succeeded,
        success_rate=succeeded / count if count else None,
        error_rates=error_rates(works),
        duration_s=seconds_of(works["duration_s"]),
        times_real_time=times_real_time(works),
        audio_minutes=round(audio_s / 60, 3),
        throughput=_throughput(works, audio_s, window),
        queue=Queue(
            queued=queued[0] if queued else None,
            running=queued[1] if queued else None,
            requests=requests,
            wait_s=seconds_of(waits(tables.samples, window)),
        ),
        retries=Retries(
            total=int(works["retries"].sum()), mean=_number(works["retries"].mean()) if count else None
        ),
        memory_mb=_span(works["memory_mb"]),
        gpu_memory_mb=_span(works["gpu_memory_mb"]),
        gpu_utilization_pct=_span(works["gpu_utilization_pct"]),
        cpu_pct=_span(works["cpu_pct"]),
    )


def within(works: "pd.DataFrame", window: Window) -> "pd.DataFrame":
    """Return the operations that ended in the window."""
    return works[(works["at"] >= window.start) & (works["at"] < window.end)]


def seconds_of(values: "pd.Series") -> Seconds:
    """Return mean, percentiles (between two values in proportion) and maximum."""
    known = values.dropna()
    if known.empty:
        return Seconds()
    p50, p95, p99 = known.quantile([0.5, 0.95, 0.99])
    return Seconds(
        mean=_number(known.mean()), p50=_number(p50), p95=_number(p95), p99=_number(p99),
        max=_number(known.max()),
    )  # fmt: skip


def times_real_time(works: "pd.DataFrame") -> float | None:
    """Return the sound done by the time it took, of all that was really worked on; None of nothing."""
    heard = works[works["audio_s"].notna() & (works["duration_s"] > 0)]
    return _number(heard["audio_s"].sum() / heard["duration_s"].sum()) if len(heard) else None


def error_rates(works: "pd.DataFrame") -> dict[str, float]:
    """Return the share of all operations that failed by each kind of error, the most frequent first."""
    kinds = works.loc[~works["success"].astype(bool), "kind"].fillna("unknown").value_counts()
    return {str(kind): _round(number / len(works)) for kind, number in kinds.items()}


def waits(samples: "pd.DataFrame", window: Window) -> "pd.Series":
    """Return how long each run waited that started in the window, in seconds."""
    started = samples["run_started_at"]
    runs = samples[(started >= window.start) & (started < window.end)].drop_duplicates("run_id")
    return (runs["run_started_at"] - runs["run_created_at"]).clip(lower=0)


def _throughput(works: "pd.DataFrame", audio_s: float, window: Window) -> float | None:
    if works.empty:
        return None
    start = window.start or float((works["at"] - works["duration_s"].fillna(0)).min())
    return _number(audio_s / max(1.0, window.end - start))


def _span(values: "pd.Series") -> Span:
    known = values.dropna()
    return Span(peak=_number(known.max()), mean=_number(known.mean())) if len(known) else Span()


def _number(value: float) -> float | None:
    return _round(value) if math.isfinite(value) else None


def _round(value: float) -> float:
    return round(float(value), 6)
