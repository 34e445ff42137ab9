"""All that a page of performance shows, in one answer: figures in steps of time beside each other."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from yivideo_pipeline.ledger.machine import MachineSample
from yivideo_pipeline.service.performance.insights import Insights
from yivideo_pipeline.service.performance.summary import Summary, within
from yivideo_pipeline.service.performance.system import SystemHealth
from yivideo_pipeline.service.performance.window import Window

if TYPE_CHECKING:
    import pandas as pd

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
