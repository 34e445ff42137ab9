"""What a day did to the library: the figures of the digest, before they are put into words."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from yivideo_pipeline.defs.reports.standing import STATES

if TYPE_CHECKING:
    import pandas as pd

WORST = 5
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dataclass(frozen=True)
class Trouble:
    """A video that did not come through, why, and what to do."""

    key: str
    stage: str
    message: str
    hint: str


@dataclass(frozen=True)
class Digest:
    """Work between two times (Unix seconds), and how the library stands at the second.

    `finished` counts videos that were recognized and have their subtitles, `rendered_again` those whose words
    were known; `failed` the runs of one video that failed, `retries` the second and further attempts.
    `audio_s`, `work_s` and `rtfx` (the first by the second; None without work) are of the finished ones. The
    worst are pairs of key and figure, the worst first.
    """

    since: float
    until: float
    finished: int
    rendered_again: int
    failed: int
    retries: int
    audio_s: float
    work_s: float
    lowest_scores: tuple[tuple[str, float], ...]
    most_unsure: tuple[tuple[str, float], ...]
    slowest: tuple[tuple[str, float], ...]
    warnings: tuple[tuple[str, int], ...]
    standing: dict[str, int]
    unfinished_runs: int
    failures: tuple[Trouble, ...]
    quarantine: tuple[Trouble, ...]

    @property
    def rtfx(self) -> float | None:
        """Seconds of sound by second of work."""
        return self.audio_s / self.work_s if self.work_s else None


def digest_of(
    videos: "pd.DataFrame", standing: "pd.DataFrame", unfinished_runs: int, since: float, until: float
) -> Digest:
    """Draw up the digest.

    Args:
        videos: As `history.tables.video_table` makes them.
        standing: As `standing_table` makes it.
        unfinished_runs: Runs that wait or are at work.
        since: Only what ended at or after this Unix time.
        until: And before this one.
    """
    recent = videos[(videos["ended_at"] >= since) & (videos["ended_at"] < until)]
    done = recent[recent["outcome"] == "finished"].drop_duplicates("key", keep="last")
    heard = recent[recent["rtfx"].notna()]
    unsure = done.assign(share=done["low_confidence_words"] / done["words"].where(done["words"] > 0))
    states = standing["state"].value_counts()
    return Digest(
        since=since,
        until=until,
        finished=len(heard),
        rendered_again=int((recent["outcome"] == "finished").sum()) - len(heard),
        failed=int((recent["outcome"] == "failed").sum()),
        retries=int(recent["retries"].sum()),
        audio_s=float(heard["audio_s"].sum()),
        work_s=float(heard["wall_s"].sum()),
        lowest_scores=_worst(done, "score", ascending=True),
        most_unsure=_worst(unsure[unsure["share"] > 0], "share", ascending=False),
        slowest=_worst(heard, "rtfx", ascending=True),
        warnings=_warnings(done),
        standing={state: int(states.get(state, 0)) for state in STATES},
        unfinished_runs=unfinished_runs,
        failures=_troubles(standing, "failed"),
        quarantine=_troubles(standing, "quarantined"),
    )


def _worst(videos: "pd.DataFrame", by: str, *, ascending: bool) -> tuple[tuple[str, float], ...]:
    known = videos[videos[by].notna()].sort_values([by, "key"], ascending=[ascending, True])
    return tuple(zip(known["key"].head(WORST), known[by].head(WORST).astype(float), strict=True))


def _warnings(done: "pd.DataFrame") -> tuple[tuple[str, int], ...]:
    lines = Counter(line for text in done["warnings"].dropna() for line in text.split("\n"))
    return tuple(sorted(lines.items(), key=lambda line: (-line[1], line[0])))


def _troubles(standing: "pd.DataFrame", state: str) -> tuple[Trouble, ...]:
    told = standing.loc[standing["state"] == state, ["stage", "message", "hint"]].fillna("")
    return tuple(Trouble(str(key), *values) for key, *values in told.itertuples())
