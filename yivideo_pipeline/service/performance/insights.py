"""What the figures mean: overall health, what to do about it, and whether it gets better or worse."""

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from yivideo_pipeline.service.performance.advice import Recommendation
from yivideo_pipeline.service.performance.alerts import Alert
from yivideo_pipeline.service.performance.summary import Summary, seconds_of, times_real_time, within
from yivideo_pipeline.service.performance.trend import LEAST, compare
from yivideo_pipeline.service.performance.window import Window, iso

if TYPE_CHECKING:
    import pandas as pd

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
