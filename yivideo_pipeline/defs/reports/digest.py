"""The digest of the library report: what was done in a time, the state of the library, and both in words."""

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

STATES = ("finished", "failed", "quarantined", "missing")
"""Every registered video is in one of them."""
LAST_WORK = [
    "ended_at", "audio_s", "wall_s", "rtfx", "model", "device", "language", "score", "words",
    "low_confidence_words", "warnings", "stage", "kind", "message", "hint",
]  # fmt: skip
"""What the table of the library says of a video's last work."""
WORST = 5
LISTED = 20
"""The most videos that a list names; the CSV file has them all."""
RELEASE = "yivideo quarantine release"
_SPECIAL = "\\`*_{}[]<>()#+!|~"


@dataclass(frozen=True)
class FailedVideo:
    """A video that failed or is quarantined, why, and what to do."""

    key: str
    stage: str
    message: str
    hint: str


@dataclass(frozen=True)
class Digest:
    """The work between two times (Unix seconds), and the state of the library at the second.

    `finished` counts videos that were transcribed and have subtitles, `rendered_again` those whose transcript
    was reused; `failed` the runs of one video that failed, `retries` the second and further attempts.
    `audio_s`, `work_s` and `rtfx` are of the finished ones. The worst are pairs of key and figure, the worst
    first.
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
    most_uncertain: tuple[tuple[str, float], ...]
    slowest: tuple[tuple[str, float], ...]
    warnings: tuple[tuple[str, int], ...]
    status: dict[str, int]
    unfinished_runs: int
    failures: tuple[FailedVideo, ...]
    quarantine: tuple[FailedVideo, ...]

    @property
    def rtfx(self) -> float | None:
        """Seconds of sound per second of work; None without work."""
        return self.audio_s / self.work_s if self.work_s else None


def status_table(instance: dg.DagsterInstance, ledger: Ledger, videos: "pd.DataFrame") -> "pd.DataFrame":
    """Return a row for each registered video, sorted by its key, which is the index.

    `state` is `quarantined`, else `failed` where its last run failed, else `finished` where it has subtitles,
    else `missing`. The other columns are those of `history.tables.video_table` for the last work on it in
    `videos` that ended, well or not.
    """
    import pandas as pd

    registered = pd.Index(sorted(instance.get_dynamic_partitions(VIDEOS)), name="video", dtype=object)
    ended = videos[videos["outcome"] != "partly"].drop_duplicates("key", keep="last").set_index("key")
    table = ended[LAST_WORK].reindex(registered)
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


def digest_of(
    videos: "pd.DataFrame", status: "pd.DataFrame", unfinished_runs: int, since: float, until: float
) -> Digest:
    """Return the digest.

    Args:
        videos: As `history.tables.video_table` makes them.
        status: As `status_table` makes it.
        unfinished_runs: How many runs wait or are in progress.
        since: Only work that ended at or after this Unix time.
        until: Only work that ended before this one.
    """
    recent = videos[(videos["ended_at"] >= since) & (videos["ended_at"] < until)]
    done = recent[recent["outcome"] == "finished"].drop_duplicates("key", keep="last")
    transcribed = recent[recent["rtfx"].notna()]
    uncertain = done.assign(share=done["low_confidence_words"] / done["words"].where(done["words"] > 0))
    states = status["state"].value_counts()
    return Digest(
        since=since,
        until=until,
        finished=len(transcribed),
        rendered_again=int((recent["outcome"] == "finished").sum()) - len(transcribed),
        failed=int((recent["outcome"] == "failed").sum()),
        retries=int(recent["retries"].sum()),
        audio_s=float(transcribed["audio_s"].sum()),
        work_s=float(transcribed["wall_s"].sum()),
        lowest_scores=_worst(done, "score", ascending=True),
        most_uncertain=_worst(uncertain[uncertain["share"] > 0], "share", ascending=False),
        slowest=_worst(transcribed, "rtfx", ascending=True),
        warnings=_warnings(done),
        status={state: int(states.get(state, 0)) for state in STATES},
        unfinished_runs=unfinished_runs,
        failures=_failed_videos(status, "failed"),
        quarantine=_failed_videos(status, "quarantined"),
    )


def headline(digest: Digest) -> str:
    """Return the most important figures in one line."""
    done = f"{_count(digest.finished, 'video')} done"
    speed = f" ({length_of(digest.audio_s)} at {digest.rtfx:.1f} × real time)" if digest.rtfx else ""
    return f"{done}{speed}, {digest.failed} failed, {digest.status['quarantined']} in quarantine"


def as_markdown(digest: Digest, time_zone: str | None, pictures: str) -> str:
    """Return the report as Markdown.

    Args:
        digest: Its figures.
        time_zone: Of the times in it; None: UTC.
        pictures: Markdown of its chart.
    """
    zone = ZoneInfo(time_zone or "UTC")
    since, until = (
        f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}" for at in (digest.since, digest.until)
    )
    parts = [
        f"# Library report\n\n{since} to {until} ({zone.key}): {headline(digest)}.",
        pictures,
        "## What was done\n\n" + _table(["", ""], _work(digest)),
        "## State of the library\n\n" + _table(["", ""], _status_rows(digest)),
        _failed_text("## In quarantine", digest.quarantine, f"To release one: `{RELEASE} VIDEO`."),
        _failed_text(
            "## Failed",
            digest.failures,
            "The nightly backfill retries them; see `yivideo why FILE`.",
        ),
        _worst_text("## Lowest readability scores", "score of 100", digest.lowest_scores, "{:.1f}"),
        _worst_text("## Most uncertain words", "share of the words", digest.most_uncertain, "{:.1%}"),
        _worst_text("## Slowest", "× real time", digest.slowest, "{:.1f}"),
        _warnings_text(digest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_lines(digest: Digest) -> tuple[str, ...]:
    """Return the digest as lines of plain text, for a mail or a message."""
    lines = [f"{name}: {value}" for name, value in (*_work(digest), *_status_rows(digest))]
    for title, videos in (("In quarantine", digest.quarantine), ("Failed", digest.failures)):
        if videos:
            lines += ["", f"{title}:", *(f"- {one.key}: {one.message}" for one in videos[:LISTED])]
            lines += [f"- and {len(videos) - LISTED} more"] * (len(videos) > LISTED)
    if digest.quarantine:
        lines += ["", f"To release one: {RELEASE} VIDEO"]
    return tuple(lines)


def length_of(seconds: float) -> str:
    """Return a length of video in hours, in minutes, or in seconds."""
    for unit, unit_s in (("h", 3600), ("min", 60)):
        if seconds >= unit_s:
            return f"{seconds / unit_s:.1f} {unit} of video"
    return f"{seconds:.0f} s of video"


def _worst(videos: "pd.DataFrame", by: str, *, ascending: bool) -> tuple[tuple[str, float], ...]:
    known = videos[videos[by].notna()].sort_values([by, "key"], ascending=[ascending, True])
    return tuple(zip(known["key"].head(WORST), known[by].head(WORST).astype(float), strict=True))


def _warnings(done: "pd.DataFrame") -> tuple[tuple[str, int], ...]:
    lines = Counter(line for text in done["warnings"].dropna() for line in text.split("\n"))
    return tuple(sorted(lines.items(), key=lambda line: (-line[1], line[0])))


def _failed_videos(status: "pd.DataFrame", state: str) -> tuple[FailedVideo, ...]:
    rows = status.loc[status["state"] == state, ["stage", "message", "hint"]].fillna("")
    return tuple(FailedVideo(str(key), *values) for key, *values in rows.itertuples())


def _work(digest: Digest) -> list[tuple[str, str]]:
    return [
        ("transcribed and subtitled", _count(digest.finished, "video")),
        ("transcript reused", _count(digest.rendered_again, "video")),
        ("failed", _count(digest.failed, "run")),
        ("retries", str(digest.retries)),
        ("length", length_of(digest.audio_s)),
        ("× real time", f"{digest.rtfx:.1f}" if digest.rtfx else "–"),
    ]


def _status_rows(digest: Digest) -> list[tuple[str, str]]:
    rows = [(f"videos {state}", str(count)) for state, count in digest.status.items()]
    return [
        *rows,
        ("videos in all", str(sum(digest.status.values()))),
        ("unfinished runs", str(digest.unfinished_runs)),
    ]


def _failed_text(title: str, videos: tuple[FailedVideo, ...], advice: str) -> str:
    if not videos:
        return ""
    rows = [(one.key, one.stage, one.message, one.hint) for one in videos[:LISTED]]
    more = f"\n\n… and {len(videos) - LISTED} more in the CSV file" if len(videos) > LISTED else ""
    return f"{title}\n\n{advice}\n\n{_table(['video', 'stage', 'why', 'what to do'], rows)}{more}"


def _worst_text(title: str, figure: str, worst: tuple[tuple[str, float], ...], form: str) -> str:
    if not worst:
        return ""
    return f"{title}\n\n{_table(['video', figure], [(key, form.format(value)) for key, value in worst])}"


def _warnings_text(digest: Digest) -> str:
    if not digest.warnings:
        return ""
    lines = [
        f"- {_escape(line)}" + (f" ({count} videos)" if count > 1 else "") for line, count in digest.warnings
    ]
    return "## Warnings\n\n" + "\n".join(lines[:LISTED])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of texts, escaped."""
    lines = [head, ["---"] * len(head), *([_escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    escaped = "".join(f"\\{char}" if char in _SPECIAL else char for char in text)
    return " ".join(escaped.split())
