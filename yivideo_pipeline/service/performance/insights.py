"""What the figures mean: overall health, what to do about it, and whether it gets better or worse."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from yivideo_pipeline.service.performance.alerts import Alert
from yivideo_pipeline.service.performance.operations import Window, iso
from yivideo_pipeline.service.performance.summary import Summary, seconds_of, times_real_time, within
from yivideo_pipeline.service.performance.system import Daemon, Disk, Gpu
from yivideo_pipeline.settings.options import SpeechOptions

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# PART service/performance/advice.py: Recommendations: each rule looks at some figures and says what would help, with the figures it rests on.

IDLE_GPU_PCT = 50
ROOM_PCT = 70
LITTLE_DISK_PCT = 90


class Recommendation(BaseModel):
    """What would help."""

    name: str
    advice: str
    figures: dict[str, float | str] = Field(description="What it rests on")


@dataclass(frozen=True)
class Situation:
    """What the rules look at: the summary of the period, its operations, and how things are now."""

    summary: Summary
    works: "pd.DataFrame"
    options: SpeechOptions
    gpu: Gpu | None
    disks: dict[str, Disk | None]
    daemons: list[Daemon]


def recommend(situation: Situation) -> list[Recommendation]:
    """Return what would help, the most urgent first."""
    return [found for rule in _RULES for found in rule(situation)]


def _save_memory(now: Situation) -> Iterator[Recommendation]:
    lacking = int((now.works["kind"] == "memory").sum())
    if lacking:
        batch = now.options.batch_size
        lower = f"Lower speech.batch_size to {batch // 2}" if batch > 1 else "Take compute_type int8"
        yield Recommendation(
            name="save_memory",
            advice=f"{lower}, or take a smaller model: memory ran out",
            figures={"failed_for_memory": lacking, "batch_size": batch},
        )


def _free_disk(now: Situation) -> Iterator[Recommendation]:
    for name, disk in now.disks.items():
        if disk and disk.used_pct > LITTLE_DISK_PCT:
            yield Recommendation(
                name="free_disk",
                advice=f"Make room on the disk of {name}",
                figures={"used_pct": disk.used_pct, "free_mb": disk.free_mb},
            )


def _start_daemon(now: Situation) -> Iterator[Recommendation]:
    late = [daemon for daemon in now.daemons if not daemon.healthy]
    if late and now.summary.queue.queued:
        yield Recommendation(
            name="start_daemon",
            advice="Start `yivideo up`: runs wait, and Dagster's daemon does not start them",
            figures={
                "queued_runs": now.summary.queue.queued,
                "heartbeat_age_s": max(daemon.heartbeat_age_s for daemon in late),
            },
        )


def _speed_up(now: Situation) -> Iterator[Recommendation]:
    speed = now.summary.times_real_time
    if speed is not None and speed < 1:
        yield Recommendation(
            name="speed_up",
            advice="Take a smaller model or compute_type int8, or a GPU: work is slower than the sound plays",
            figures={"times_real_time": speed, "model": now.options.model_name},
        )


def _fill_gpu(now: Situation) -> Iterator[Recommendation]:
    use = now.summary.gpu_utilization_pct.mean
    memory = now.gpu.memory_used_pct if now.gpu else None
    if use is not None and use < IDLE_GPU_PCT and memory is not None and memory < ROOM_PCT:
        yield Recommendation(
            name="fill_gpu",
            advice=f"Raise speech.batch_size to {2 * now.options.batch_size}: the GPU has room and idles",
            figures={
                "gpu_utilization_mean_pct": use,
                "gpu_memory_used_pct": memory,
                "batch_size": now.options.batch_size,
            },
        )


def _shorten_queue(now: Situation) -> Iterator[Recommendation]:
    wait, work = now.summary.queue.wait_s.p50, now.summary.duration_s.p50
    if wait is not None and work and wait > 2 * work and wait > 60:
        yield Recommendation(
            name="shorten_queue",
            advice="Put long backfills into the night (backfills.window), or speed the work up: half of the"
            " runs wait over twice as long as they work",
            figures={"wait_p50_s": wait, "duration_p50_s": work},
        )


def _look_at_retries(now: Situation) -> Iterator[Recommendation]:
    mean = now.summary.retries.mean
    if mean is not None and mean > 0.2 and now.summary.count >= 5:
        yield Recommendation(
            name="look_at_retries",
            advice="Look at what fails before it goes well: `yivideo why VIDEO`, and the runs' logs",
            figures={"retries_mean": mean, "retries": now.summary.retries.total},
        )


def _mend_most_frequent(now: Situation) -> Iterator[Recommendation]:
    failed = now.works[~now.works["success"].astype(bool)]
    kinds = failed["kind"].fillna("unknown").value_counts()
    if len(kinds) and kinds.iloc[0] > 1:
        kind = kinds.index[0]
        hints = failed.loc[failed["kind"] == kind, "hint"].dropna()
        advice = str(hints.iloc[-1]) if len(hints) and hints.iloc[-1] else "See the failures below"
        yield Recommendation(
            name="mend_most_frequent",
            advice=f"{kind}: {advice}",
            figures={"failed": int(kinds.iloc[0]), "of": now.summary.count},
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


# PART service/performance/trend.py: Whether the work became slower: two samples of times against each other, by ranks.
#
# Mann and Whitney's test (1947) asks nothing of the times' distribution, which has a long tail here. The p
# value is two-sided, by the normal approximation with the corrections for ties and for continuity.

LEAST = 8
"""Fewer values than this on a side, and the approximation says nothing."""


@dataclass(frozen=True)
class RankTest:
    """The outcome: `u` counts the pairs in which the later value is higher, a tie as half a pair.

    `share_higher` is `u` of all pairs: 0.5 where nothing changed.
    """

    u: float
    share_higher: float
    p_value: float


def compare(earlier: "np.ndarray", later: "np.ndarray") -> RankTest | None:
    """Test whether values of one time tend to be higher than those of another; None of too few."""
    import numpy as np

    n, m = len(later), len(earlier)
    if min(n, m) < LEAST:
        return None
    values, inverse, counts = np.unique(
        np.concatenate([later, earlier]), return_inverse=True, return_counts=True
    )
    del values
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    u = float(ranks[:n].sum() - n * (n + 1) / 2)
    total = n + m
    ties = float((counts.astype(float) ** 3 - counts).sum()) / (total * (total - 1))
    deviation = math.sqrt(n * m / 12 * (total + 1 - ties))
    distance = max(0.0, abs(u - n * m / 2) - 0.5)
    p_value = math.erfc(distance / deviation / math.sqrt(2)) if deviation else 1.0
    return RankTest(u, u / (n * m), p_value)


Health = Literal["good", "fair", "poor"]
TEST = "Mann–Whitney U, two-sided, normal approximation with corrections for ties and continuity"
SIGNIFICANT = 0.01
MOST_FREQUENT = 5


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
    """The period against the one of the same length before it.

    The seconds of work for a second of sound are compared, so that longer videos are no slowdown; of
    operations whose sound is not known, none.
    """

    verdict: Literal["slower", "faster", "no_change", "unknown"]
    test: str = TEST
    p_value: float | None = Field(description=f"null: fewer than {LEAST} operations in one of the periods")
    u: float | None
    share_slower: float | None = Field(
        description="Of all pairs of a later and an earlier operation: those in which the later is slower"
    )
    significant_below: float = SIGNIFICANT
    now: Period
    before: Period


class Failure(BaseModel):
    """A kind of failure, with the latest one's words."""

    operation: str
    kind: str
    count: int
    share: float = Field(description="Of all operations")
    message: str | None
    hint: str | None
    video: str | None
    last_at: str


class Insights(BaseModel):
    """What a person should know."""

    overall_health: Health
    reasons: list[str] = Field(description="Why it is not good")
    recommendations: list[Recommendation]
    alerts: list[Alert]
    trend: Trend | None = Field(description="null: no period, so none before it")
    failures: list[Failure] = Field(description="The most frequent ones")
    summary: Summary


def health_of(summary: Summary, alerts: list[Alert], trend: Trend | None) -> tuple[Health, list[str]]:
    """Judge: poor where work fails or memory runs out, fair where it is slow or gets slower; else good."""
    reasons = [alert.message for alert in alerts]
    if trend and trend.verdict == "slower":
        reasons.append(f"Work is slower than in the period before (p = {trend.p_value:.2g})")
    if any(alert.name != "p99" for alert in alerts):
        return "poor", reasons
    if summary.failed and summary.success_rate is not None and summary.success_rate < 0.5:
        return "poor", [*reasons, f"{summary.failed} of {summary.count} operations failed"]
    return ("fair" if reasons else "good"), reasons


def trend_of(works: "pd.DataFrame", window: Window) -> Trend:
    """Compare the operations of a window with those of the window before it."""
    now, before = within(works, window), within(works, window.before())
    test = compare(_rtf(before).to_numpy(), _rtf(now).to_numpy())
    verdict = "unknown"
    if test:
        slower = "slower" if test.share_higher > 0.5 else "faster"
        verdict = slower if test.p_value < SIGNIFICANT else "no_change"
    return Trend(
        verdict=verdict,
        p_value=test.p_value if test else None,
        u=test.u if test else None,
        share_slower=round(test.share_higher, 4) if test else None,
        now=_period(now, window),
        before=_period(before, window.before()),
    )


def failures_of(works: "pd.DataFrame") -> list[Failure]:
    """Return the most frequent kinds of failure by operation, each with its latest case."""
    failed = works[~works["success"].astype(bool)]
    failed = failed.assign(kind=failed["kind"].fillna("unknown"))
    by = ["operation", "kind"]
    counts = failed.groupby(by, sort=False).size().sort_values(ascending=False, kind="stable")
    latest = failed.sort_values("at", kind="stable").drop_duplicates(by, keep="last").set_index(by)
    found = []
    for place, count in counts.head(MOST_FREQUENT).items():
        case = latest.loc[place]
        found.append(
            Failure(
                operation=case.name[0],
                kind=case.name[1],
                count=int(count),
                share=round(count / len(works), 6),
                message=_text(case["message"]),
                hint=_text(case["hint"]),
                video=_text(case["key"]),
                last_at=iso(case["at"]),
            )
        )
    return found


def _text(value: object) -> str | None:
    """A text of a table; what is missing there may be None or NaN."""
    return value if isinstance(value, str) and value else None


def _rtf(works: "pd.DataFrame") -> "pd.Series":
    return (works["duration_s"] / works["audio_s"].where(works["audio_s"] > 0)).dropna()


def _period(works: "pd.DataFrame", window: Window) -> Period:
    seconds = seconds_of(works["duration_s"])
    return Period(
        since=iso(max(0.0, window.start)),
        until=iso(max(0.0, window.end)),
        count=len(works),
        success_rate=float(works["success"].mean()) if len(works) else None,
        p50_s=seconds.p50,
        p95_s=seconds.p95,
        times_real_time=times_real_time(works),
    )
