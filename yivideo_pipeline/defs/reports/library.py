"""The library report: what was done in the last day, what failed, and how the library stands."""

import time
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.previews import image
from yivideo_pipeline.defs.reports.charts import draw_digest
from yivideo_pipeline.defs.reports.digest import UNFINISHED, Digest, digest_of
from yivideo_pipeline.defs.reports.files import csv_of, write
from yivideo_pipeline.defs.reports.performance import GROUP
from yivideo_pipeline.defs.reports.reading import DAY_S, today, videos_so_far
from yivideo_pipeline.defs.reports.standing import standing_table
from yivideo_pipeline.defs.reports.wording import as_lines, as_markdown, headline
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.history.days import with_days, with_times
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.stages import OWNERS

CHART = "Videos a day"


def library_report_of(settings: Settings) -> dg.AssetsDefinition:
    """Make the asset with this process's settings."""

    @dg.asset(
        deps=["subtitles"],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"pandas", "python"},
        tags={"domain": "reports"},
        code_version="1",
    )
    def library_report(
        context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Ledger]
    ) -> dg.MaterializeResult:
        """The last 24 hours and how the library stands: for people, as files, and as a notice."""
        return _report(context.instance, ledger, settings, time.time())

    return library_report


def _report(
    instance: dg.DagsterInstance, ledger: Ledger, settings: Settings, now: float
) -> dg.MaterializeResult:
    zone = settings.backfills.time_zone
    videos = videos_so_far(instance, ledger)
    standing = standing_table(instance, ledger, videos)
    unfinished = instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)) - 1  # without this one
    digest = digest_of(videos, standing, unfinished, now - DAY_S, now)
    day = today(now, zone)
    chart = draw_digest(with_days(videos, zone), day)
    picture = write(settings.home, f"library-{day}.svg", chart)
    text = as_markdown(digest, zone, f"![{CHART}]({picture.name})")
    report = write(settings.home, f"library-{day}.md", text.encode())
    table = write(settings.home, f"library-{day}.csv", csv_of(with_times(standing, zone), index=True))
    _tell(digest, day, ledger, settings)
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.md(as_markdown(digest, zone, image(chart, "image/svg+xml", CHART))),
            "file": dg.MetadataValue.path(str(report)),
            "table": dg.MetadataValue.path(str(table)),
            **_numbers(digest),
        }
    )


def _numbers(digest: Digest) -> dict[str, Any]:
    speed = dg.MetadataValue.null() if digest.rtfx is None else round(digest.rtfx, 3)
    return {
        "processed": digest.finished,
        "rendered_again": digest.rendered_again,
        "failed_runs": digest.failed,
        "retries": digest.retries,
        "audio_h": round(digest.audio_s / 3600, 3),
        "rtfx": speed,
        **{f"videos_{state}": count for state, count in digest.standing.items()},
        "unfinished_runs": digest.unfinished_runs,
        "warnings": sum(count for _, count in digest.warnings),
    }


def _tell(digest: Digest, day: str, ledger: Ledger, settings: Settings) -> None:
    notice = Notice(
        kind="digest",
        subject=f"yivideo, {day}: {headline(digest)}",
        body=as_lines(digest),
        fingerprint=f"digest {day}",
        severity=Severity.LOW,
        url=f"{settings.notices.ui_url.rstrip('/')}/assets/library_report",
        at=digest.until,
    )
    ledger.outbox.post(notice, DAY_S)
