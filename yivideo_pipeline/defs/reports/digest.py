"""What a day did to the library: the figures of the digest, before they are put into words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import dagster as dg

from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.stages import LAST_STAGE, VIDEOS

if TYPE_CHECKING:
    import pandas as pd

# PART defs/reports/markdown.py: Markdown made of plain values.

_SPECIAL = "\\`*_{}[]<>()#+!|~"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    escaped = "".join(f"\\{char}" if char in _SPECIAL else char for char in text)
    return " ".join(escaped.split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts, escaped."""
    lines = [head, ["---"] * len(head), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# PART defs/reports/standing.py: How every registered video stands: finished, failed, set aside, or not made yet.

KEPT = [
    "ended_at", "audio_s", "wall_s", "rtfx", "model", "device", "language", "score", "words",
    "low_confidence_words", "warnings", "stage", "kind", "message", "hint",
]  # fmt: skip
STATES = ("finished", "failed", "quarantined", "missing")


def standing_table(instance: dg.DagsterInstance, ledger: Ledger, videos: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row for each registered video, sorted by its key, which is the index.

    `state` is `quarantined` where nothing takes it up again, else `failed` where its last run failed, else
    `finished` where it has subtitles, else `missing`. The other columns are of its last work in `videos` that
    came to an end, good or bad, as `history.tables.video_table` says them.
    """
    import pandas as pd

    registered = pd.Index(sorted(instance.get_dynamic_partitions(VIDEOS)), name="video", dtype=object)
    ended = videos[videos["outcome"] != "partly"].drop_duplicates("key", keep="last").set_index("key")
    table = ended[KEPT].reindex(registered)
    finished = instance.get_materialized_partitions(dg.AssetKey(LAST_STAGE))
    failed = set(ended.index[ended["outcome"] == "failed"])
    state = pd.Series("missing", index=registered, dtype=object)
    state[state.index.isin(finished)] = "finished"
    state[state.index.isin(failed)] = "failed"
    for key, one in ledger.failures.quarantined().items():
        if key in state.index:
            state[key] = "quarantined"
            table.loc[key, ["stage", "kind", "message", "hint"]] = [
                one.failure.stage, one.failure.kind, one.failure.message, one.failure.hint,
            ]  # fmt: skip
    table.insert(0, "state", state)
    return table.astype(dict.fromkeys(("words", "low_confidence_words"), "Int64"))


WORST = 5


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


# PART defs/reports/wording.py: The digest in words: as Markdown for people who look, and as lines for those who are told.

LISTED = 20
"""Videos that a list names at most; the CSV file has them all."""
RELEASE = "yivideo quarantine release"


def headline(digest: Digest) -> str:
    """Say the most important in one line."""
    done = f"{_count(digest.finished, 'video')} done"
    speed = f" ({length_of(digest.audio_s)} at {digest.rtfx:.1f} × real time)" if digest.rtfx else ""
    return f"{done}{speed}, {digest.failed} failed, {digest.standing['quarantined']} in quarantine"


def as_markdown(digest: Digest, time_zone: str | None, pictures: str) -> str:
    """Write the report.

    Args:
        digest: Its figures.
        time_zone: Of the times in it; None: UTC.
        pictures: Markdown of its charts.
    """
    zone = ZoneInfo(time_zone or "UTC")
    since, until = (
        f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}" for at in (digest.since, digest.until)
    )
    parts = [
        f"# Library report\n\n{since} to {until} ({zone.key}): {headline(digest)}.",
        pictures,
        "## What was done\n\n" + table(["", ""], _work(digest)),
        "## How the library stands\n\n" + table(["", ""], _standing(digest)),
        _troubles_text("## In quarantine", digest.quarantine, f"Take one up again: `{RELEASE} VIDEO`."),
        _troubles_text(
            "## Failed", digest.failures, "The nightly backfill tries them again; `yivideo why FILE`."
        ),
        _worst_text("## Lowest quality scores", "score of 100", digest.lowest_scores, "{:.1f}"),
        _worst_text("## Most uncertain words", "share of the words", digest.most_unsure, "{:.1%}"),
        _worst_text("## Slowest", "× real time", digest.slowest, "{:.1f}"),
        _warnings_text(digest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_lines(digest: Digest) -> tuple[str, ...]:
    """Say the digest in lines of plain text, for a mail or a message."""
    lines = [f"{name}: {value}" for name, value in (*_work(digest), *_standing(digest))]
    for title, troubles in (("In quarantine", digest.quarantine), ("Failed", digest.failures)):
        if troubles:
            lines += ["", f"{title}:", *(f"- {one.key}: {one.message}" for one in troubles[:LISTED])]
            lines += [f"- and {len(troubles) - LISTED} more"] * (len(troubles) > LISTED)
    if digest.quarantine:
        lines += ["", f"Take one up again: {RELEASE} VIDEO"]
    return tuple(lines)


def length_of(seconds: float) -> str:
    """Say a length of video as people do: in hours, in minutes, or in seconds."""
    for unit, unit_s in (("h", 3600), ("min", 60)):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.1f} {unit} of video"
    return f"{seconds:.0f} s of video"


def _work(digest: Digest) -> list[tuple[str, str]]:
    return [
        ("recognized and subtitled", _count(digest.finished, "video")),
        ("words known before", _count(digest.rendered_again, "video")),
        ("failed", _count(digest.failed, "run")),
        ("second and further attempts", str(digest.retries)),
        ("length", length_of(digest.audio_s)),
        ("× real time", f"{digest.rtfx:.1f}" if digest.rtfx else "–"),
    ]


def _standing(digest: Digest) -> list[tuple[str, str]]:
    rows = [(f"videos {state}", str(count)) for state, count in digest.standing.items()]
    return [
        *rows,
        ("videos in all", str(sum(digest.standing.values()))),
        ("runs not ended", str(digest.unfinished_runs)),
    ]


def _troubles_text(title: str, troubles: tuple[Trouble, ...], advice: str) -> str:
    if not troubles:
        return ""
    rows = [(one.key, one.stage, one.message, one.hint) for one in troubles[:LISTED]]
    more = f"\n\n… and {len(troubles) - LISTED} more in the CSV file" if len(troubles) > LISTED else ""
    return f"{title}\n\n{advice}\n\n{table(['video', 'stage', 'why', 'what to do'], rows)}{more}"


def _worst_text(title: str, figure: str, worst: tuple[tuple[str, float], ...], form: str) -> str:
    if not worst:
        return ""
    return f"{title}\n\n{table(['video', figure], [(key, form.format(value)) for key, value in worst])}"


def _warnings_text(digest: Digest) -> str:
    if not digest.warnings:
        return ""
    lines = [
        f"- {escape(line)}" + (f" ({count} videos)" if count > 1 else "") for line, count in digest.warnings
    ]
    return "## Warnings\n\n" + "\n".join(lines[:LISTED])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
