"""What the figures mean: the overall health, recommendations, frequent failures, and the trend.

The trend compares the times of two periods by Mann and Whitney's rank test (1947). It assumes nothing about
the distribution of the times, which has a long tail here. The p value is two-sided, by the normal
approximation with the corrections for ties and for continuity.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from yivideo_pipeline.ledger.operation_queries import Window
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.service.pages.translations import Said
from yivideo_pipeline.service.performance.alerts import Alert
from yivideo_pipeline.service.performance.operations import INPUT_KINDS, is_unusable, iso
from yivideo_pipeline.service.performance.summary import (
    Summary,
    error_counts,
    percentiles_of,
    success_rate,
    times_real_time,
    within,
)
from yivideo_pipeline.service.performance.system import DaemonHealth, DiskHealth, GpuHealth
from yivideo_pipeline.settings.options import SpeechOptions

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Health = Literal["good", "fair", "poor"]
TEST = "Mann–Whitney U, two-sided, normal approximation with corrections for ties and continuity"
MIN_VALUES = 8
"""With fewer values on a side, the normal approximation is too rough."""
SIGNIFICANT = 0.01
SHOWN_FAILURES = 5

IDLE_GPU_PCT = 50
GPU_MEMORY_TO_SPARE_PCT = 70
FULL_DISK_PCT = 90


class Recommendation(BaseModel):
    """What would help."""

    name: str
    advice: Said
    figures: dict[str, float | str] = Field(description="The figures that it is based on")


class Period(BaseModel):
    """One of the two periods that are compared."""

    since: str
    until: str
    count: int
    success_rate: float | None
    p50_s: float | None
    p95_s: float | None
    times_real_time: float | None


class Trend(BaseModel):
    """The period compared with the one of the same length before it.

    What is compared are the seconds of work per second of audio, so that longer videos are no slowdown;
    operations without audio are left out.
    """

    verdict: Literal["slower", "faster", "no_change", "unknown"]
    test: str = TEST
    p_value: float | None = Field(
        description=f"null: fewer than {MIN_VALUES} operations in one of the periods"
    )
    u: float | None
    share_slower: float | None = Field(
        description="Share of all pairs of a later and an earlier operation in which the later is slower"
    )
    significant_below: float = SIGNIFICANT
    now: Period
    before: Period


class FailureCause(BaseModel):
    """A kind of failure of an operation, with the message of the latest case."""

    operation: str
    kind: str
    count: int
    share: float = Field(description="Of all operations")
    is_unusable: bool = Field(description="The file can't be used; nothing is wrong here")
    message: Said | None
    hint: Said | None
    video: str | None
    last_at: str


class Insights(BaseModel):
    """What the user should know."""

    overall_health: Health
    reasons: list[str] = Field(description="Why the health is not good")
    recommendations: list[Recommendation]
    alerts: list[Alert]
    trend: Trend | None = Field(description="null: no period is given, so there is none before it")
    failures: list[FailureCause] = Field(description="The most frequent ones, then those of unusable files")
    summary: Summary


@dataclass(frozen=True)
class Situation:
    """What recommendations are based on: the period's summary and operations, and the present state."""

    summary: Summary
    operations: "pd.DataFrame"
    options: SpeechOptions
    gpu: GpuHealth | None
    disks: Mapping[str, DiskHealth | None]
    daemons: list[DaemonHealth]


@dataclass(frozen=True)
class RankTest:
    """The result of a rank test.

    Attributes:
        u: The number of pairs in which the later value is higher; a tie counts as half a pair.
        share_higher: `u` as a share of all pairs: 0.5 if nothing has changed.
        p_value: The probability of a difference at least this large if nothing has changed.
    """

    u: float
    share_higher: float
    p_value: float


def health_of(summary: Summary, alerts: list[Alert], trend: Trend | None) -> tuple[Health, list[str]]:
    """Return the overall health and why it is not good.

    It is poor if work fails or memory runs out, fair if work is slow or becomes slower, else good. Files that
    can't be used are no failure of ours.
    """
    reasons = [alert.message for alert in alerts]
    if trend and trend.verdict == "slower":
        reasons.append(f"Work is slower than in the period before (p = {trend.p_value:.2g})")
    if any(alert.name != "p99" for alert in alerts):
        return "poor", reasons
    if summary.failed and summary.success_rate is not None and summary.success_rate < 0.5:
        count = summary.count - summary.unusable
        return "poor", [*reasons, f"{summary.failed} of {plural(count, 'operation')} failed"]
    return ("fair" if reasons else "good"), reasons


def recommend(situation: Situation) -> list[Recommendation]:
    """Return what would help, the most urgent first."""
    return [found for rule in _RULES for found in rule(situation)]


def trend_of(operations: "pd.DataFrame", window: Window) -> Trend:
    """Compare the operations of a window with those of the window before it."""
    now, before = within(operations, window), within(operations, window.before())
    test = compare(_rtf(before).to_numpy(), _rtf(now).to_numpy())
    verdict = "unknown"
    if test:
        changed = "slower" if test.share_higher > 0.5 else "faster"
        verdict = changed if test.p_value < SIGNIFICANT else "no_change"
    return Trend(
        verdict=verdict,
        p_value=test.p_value if test else None,
        u=test.u if test else None,
        share_slower=round(test.share_higher, 4) if test else None,
        now=_period(now, window),
        before=_period(before, window.before()),
    )


def failures_of(operations: "pd.DataFrame") -> list[FailureCause]:
    """Return the most frequent kinds of failure by operation, each with its latest case.

    Files that can't be used are counted apart, so that many of them hide no failure of ours.
    """
    failed = operations[~operations["success"].astype(bool)]
    failed = failed.assign(kind=failed["kind"].fillna("unknown"))
    by = ["operation", "kind"]
    counts = failed.groupby(by, sort=False).size().sort_values(ascending=False, kind="stable")
    latest = failed.sort_values("at", kind="stable").drop_duplicates(by, keep="last").set_index(by)
    causes = []
    is_unusable = counts.index.get_level_values("kind").isin(INPUT_KINDS)
    shown = [
        *counts[~is_unusable].head(SHOWN_FAILURES).items(),
        *counts[is_unusable].head(SHOWN_FAILURES).items(),
    ]
    for place, count in shown:
        case = latest.loc[place]
        causes.append(
            FailureCause(
                operation=case.name[0],
                kind=case.name[1],
                count=int(count),
                share=round(count / len(operations), 6),
                is_unusable=case.name[1] in INPUT_KINDS,
                message=_text(case["message"]),
                hint=_text(case["hint"]),
                video=_text(case["key"]),
                last_at=iso(case["at"]),
            )
        )
    return causes


def compare(earlier: "np.ndarray", later: "np.ndarray") -> RankTest | None:
    """Test whether the values of one time tend to be higher than those of another; None if they are few."""
    import numpy as np

    n, m = len(later), len(earlier)
    if min(n, m) < MIN_VALUES:
        return None
    _, inverse, counts = np.unique(np.concatenate([later, earlier]), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    u = float(ranks[:n].sum() - n * (n + 1) / 2)
    total = n + m
    ties = float((counts.astype(float) ** 3 - counts).sum()) / (total * (total - 1))
    deviation = math.sqrt(n * m / 12 * (total + 1 - ties))
    distance = max(0.0, abs(u - n * m / 2) - 0.5)
    p_value = math.erfc(distance / deviation / math.sqrt(2)) if deviation else 1.0
    return RankTest(u, u / (n * m), p_value)


def _save_memory(now: Situation) -> Iterator[Recommendation]:
    failed = int((now.operations["kind"] == "memory").sum())
    if failed:
        batch = now.options.batch_size
        lower = f"Lower speech.batch_size to {batch // 2}" if batch > 1 else "Use compute_type int8"
        yield Recommendation(
            name="save_memory",
            advice=f"{lower}, or use a smaller model: memory ran out",
            figures={"failed_for_memory": failed, "batch_size": batch},
        )


def _free_disk(now: Situation) -> Iterator[Recommendation]:
    for name, disk in now.disks.items():
        if disk and disk.used_pct > FULL_DISK_PCT:
            yield Recommendation(
                name="free_disk",
                advice=f"Free space on the disk of {name}",
                figures={"disk": name, "used_pct": disk.used_pct, "free_mb": disk.free_mb},
            )


def _start_daemon(now: Situation) -> Iterator[Recommendation]:
    unhealthy = [daemon for daemon in now.daemons if not daemon.healthy]
    if unhealthy and now.summary.queue.queued:
        yield Recommendation(
            name="start_daemon",
            advice="Start `yivideo up`: runs wait, and Dagster's daemon does not start them",
            figures={
                "queued_runs": now.summary.queue.queued,
                "heartbeat_age_s": max(daemon.heartbeat_age_s for daemon in unhealthy),
            },
        )


def _mend_most_frequent(now: Situation) -> Iterator[Recommendation]:
    operations = now.operations[~is_unusable(now.operations)]
    kind, count = next(iter(error_counts(operations).items()), ("", 0))
    if count > 1:
        failed = operations[~operations["success"].astype(bool)]
        hints = failed.loc[failed["kind"] == kind, "hint"].dropna()
        advice = str(hints.iloc[-1]) if len(hints) and hints.iloc[-1] else "See the failures below"
        yield Recommendation(
            name="mend_most_frequent",
            advice=advice,
            figures={"kind": kind, "failed": count, "of": len(operations)},
        )


def _speed_up(now: Situation) -> Iterator[Recommendation]:
    speed = now.summary.times_real_time
    if speed is not None and speed < 1:
        yield Recommendation(
            name="speed_up",
            advice="Use a smaller model, compute_type int8 or a GPU: work is slower than real time",
            figures={"times_real_time": speed, "model": now.options.model_name},
        )


def _fill_gpu(now: Situation) -> Iterator[Recommendation]:
    utilization = now.summary.gpu_utilization_pct.mean
    memory = now.gpu.memory_used_pct if now.gpu else None
    is_idle = utilization is not None and utilization < IDLE_GPU_PCT
    if is_idle and memory is not None and memory < GPU_MEMORY_TO_SPARE_PCT:
        yield Recommendation(
            name="fill_gpu",
            advice=f"Raise speech.batch_size to {2 * now.options.batch_size}: the GPU is idle at times and"
            " has free memory",
            figures={
                "gpu_utilization_mean_pct": utilization,
                "gpu_memory_used_pct": memory,
                "batch_size": now.options.batch_size,
            },
        )


def _shorten_queue(now: Situation) -> Iterator[Recommendation]:
    wait, work = now.summary.queue.wait_s.p50, now.summary.duration_s.p50
    if wait is not None and work and wait > 2 * work and wait > 60:
        yield Recommendation(
            name="shorten_queue",
            advice="Move long backfills into the night (backfills.window), or speed up the work: half of the"
            " runs wait more than twice as long as they work",
            figures={"wait_p50_s": wait, "duration_p50_s": work},
        )


def _look_at_retries(now: Situation) -> Iterator[Recommendation]:
    mean = now.summary.retries.mean
    if mean is not None and mean > 0.2 and now.summary.count >= 5:
        yield Recommendation(
            name="look_at_retries",
            advice="Find out what fails before it succeeds: `yivideo why VIDEO`, and the logs of the runs",
            figures={"retries_mean": mean, "retries": now.summary.retries.total},
        )


_RULES: tuple[Callable[[Situation], Iterator[Recommendation]], ...] = (
    _save_memory,
    _free_disk,
    _start_daemon,
    _mend_most_frequent,
    _speed_up,
    _fill_gpu,
    _shorten_queue,
    _look_at_retries,
)


def _text(value: object) -> str | None:
    """Return a text of a table, where a missing one may be None or NaN."""
    return value if isinstance(value, str) and value else None


def _rtf(operations: "pd.DataFrame") -> "pd.Series":
    return (operations["duration_s"] / operations["audio_s"].where(operations["audio_s"] > 0)).dropna()


def _period(operations: "pd.DataFrame", window: Window) -> Period:
    times = percentiles_of(operations["duration_s"])
    return Period(
        since=iso(max(0.0, window.start)),
        until=iso(max(0.0, window.end)),
        count=len(operations),
        success_rate=success_rate(operations),
        p50_s=times.p50,
        p95_s=times.p95,
        times_real_time=times_real_time(operations),
    )
