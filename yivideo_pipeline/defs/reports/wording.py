"""The digest in words: as Markdown for people who look, and as lines for those who are told."""

from datetime import datetime
from zoneinfo import ZoneInfo

from yivideo_pipeline.defs.reports.digest import Digest, Trouble
from yivideo_pipeline.defs.reports.markdown import escape, table

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
