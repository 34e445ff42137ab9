"""The two report assets: the state of the library, and the performance.

Only a user or the daily schedule launches them, and no job of a video contains them. They depend on the
subtitles for the lineage alone.
"""

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dagster as dg

from yivideo_pipeline.defs.previews import image
from yivideo_pipeline.defs.reports.charts import draw_digest, draw_latency, draw_speed, draw_throughput
from yivideo_pipeline.defs.reports.digest import (
    Digest,
    as_lines,
    as_markdown,
    digest_of,
    headline,
    status_table,
)
from yivideo_pipeline.defs.runs import UNFINISHED
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.history.import_events import import_events
from yivideo_pipeline.history.lost_work import record_lost_work
from yivideo_pipeline.history.tables import day_table, sample_table, video_table, with_days, with_times
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.stages import GROUP, OWNERS
from yivideo_pipeline.storage.file_store import FileStore

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "reports"
"""Under the home folder."""
DAY_S = 86_400.0
SHOWN_ROWS = 60
NOTHING = "*No video was processed yet.*"
CHART = "Videos per day"


def build_report_assets(home: Path, time_zone: str | None, ui_url: str) -> list[dg.AssetsDefinition]:
    """Build the reports.

    Args:
        home: The home folder, where they are written.
        time_zone: Of the days in them; None: UTC.
        ui_url: Address of Dagster's UI, for the link in the notice.
    """
    return [_build_library_report(home, time_zone, ui_url), _build_performance_report(home, time_zone)]


def _build_library_report(home: Path, zone: str | None, ui_url: str) -> dg.AssetsDefinition:
    @dg.asset(
        deps=["subtitles"],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"pandas", "python"},
        tags={"domain": "reports"},
        code_version="1",
        config_schema={},
    )
    def library_report(
        context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Ledger]
    ) -> dg.MaterializeResult:
        """The last 24 hours and the state of the library: in the UI, as files, and as a notice."""
        return _report(context.instance, ledger, home, zone, ui_url, time.time())

    return library_report


def _build_performance_report(home: Path, zone: str | None) -> dg.AssetsDefinition:
    @dg.asset(
        deps=["subtitles"],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"pandas", "python"},
        tags={"domain": "reports"},
        code_version="1",
        config_schema={},
    )
    def performance_report(
        context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Ledger]
    ) -> dg.MaterializeResult:
        """Speed, throughput and time per video, by day, model and device; with charts and a CSV file."""
        videos = with_days(videos_so_far(context.instance, ledger), zone)
        table = day_table(videos)
        now = time.time()
        file = _write(home, f"performance-{_today(now, zone)}.csv", _csv_of(table))
        recent = videos[videos["ended_at"] >= now - DAY_S]
        return dg.MaterializeResult(
            metadata={
                **_charts(videos),
                "days": _days(table),
                "file": dg.MetadataValue.path(str(file)),
                "videos_in_all": int(table["videos"].sum()),
                "audio_h_in_all": round(float(table["audio_h"].sum()), 3),
                **_last_day(recent),
            }
        )

    return performance_report


def _report(
    instance: dg.DagsterInstance, ledger: Ledger, home: Path, zone: str | None, ui_url: str, now: float
) -> dg.MaterializeResult:
    videos = videos_so_far(instance, ledger)
    status = status_table(instance, ledger, videos)
    unfinished = instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED)) - 1  # without this one
    digest = digest_of(videos, status, unfinished, now - DAY_S, now)
    day = _today(now, zone)
    chart = draw_digest(with_days(videos, zone), day)
    picture = _write(home, f"library-{day}.svg", chart)
    text = as_markdown(digest, zone, f"![{CHART}]({picture.name})")
    report = _write(home, f"library-{day}.md", text.encode())
    table = _write(home, f"library-{day}.csv", _csv_of(with_times(status, zone), index=True))
    _post(digest, day, ledger, ui_url)
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
        **{f"videos_{state}": count for state, count in digest.status.items()},
        "unfinished_runs": digest.unfinished_runs,
        "warnings": sum(count for _, count in digest.warnings),
    }


def _post(digest: Digest, day: str, ledger: Ledger, ui_url: str) -> None:
    notice = Notice(
        kind="digest",
        subject=f"yivideo, {day}: {headline(digest)}",
        body=as_lines(digest),
        fingerprint=f"digest {day}",
        severity=Severity.LOW,
        url=f"{ui_url.rstrip('/')}/assets/library_report",
        at=digest.until,
    )
    ledger.outbox.post(notice, DAY_S)


def _charts(videos: "pd.DataFrame") -> dict[str, Any]:
    charts = {"speed": draw_speed, "throughput": draw_throughput, "latency": draw_latency}
    if videos.empty:
        return {name: dg.MetadataValue.md(NOTHING) for name in charts}
    return {
        name: dg.MetadataValue.md(image(draw(videos), "image/svg+xml", name.capitalize()))
        for name, draw in charts.items()
    }


def _days(table: "pd.DataFrame") -> dg.TableMetadataValue:
    newest = table.iloc[::-1].head(SHOWN_ROWS)
    shown = newest.assign(day=newest["day"].astype(str).str[:10]).round(2).astype(object)
    records = shown.where(shown.notna(), None).to_dict("records")
    columns = [dg.TableColumn(name, _type_of(name)) for name in table.columns]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in records], dg.TableSchema(columns))


def _type_of(name: str) -> str:
    texts, counts = ("day", "model", "device"), ("videos", "rendered_again", "failures", "retries")
    return "string" if name in texts else "int" if name in counts else "float"


def _last_day(recent: "pd.DataFrame") -> dict[str, Any]:
    """Return the figures of the last 24 hours: Dagster plots them over the reports."""
    if recent.empty:
        return {"videos": 0, "failures": 0, "retries": 0, "audio_h": 0.0}
    row = day_table(recent.assign(all=True), ["all"]).iloc[0].drop("all")
    ended = row["videos"] + row["rendered_again"] + row["failures"]
    numbers = {**row, "success_rate": 1 - row["failures"] / ended if ended else None}
    return {name: _number(value) for name, value in numbers.items()}


def _number(value: Any) -> Any:
    if value is None or value != value:  # NaN: there is no such figure
        return dg.MetadataValue.null()
    return int(value) if value == int(value) else round(float(value), 3)


def videos_so_far(instance: dg.DagsterInstance, ledger: Ledger) -> "pd.DataFrame":
    """Return each piece of work on a video up to now, as `history.tables.video_table` does."""
    import_events(instance, ledger)
    record_lost_work(ledger, instance)
    return video_table(sample_table(ledger.samples))


def _today(now: float, time_zone: str | None) -> str:
    """Return the date in a time zone (None: UTC), as 2026-01-31."""
    return datetime.fromtimestamp(now, ZoneInfo(time_zone or "UTC")).date().isoformat()


def _write(home: Path, name: str, data: bytes) -> Path:
    """Write a report, in place of one of the same name; return its path."""
    FileStore(home / FOLDER).write(name, data)
    return home / FOLDER / name


def _csv_of(table: "pd.DataFrame", *, index: bool = False) -> bytes:
    """Return a table as a CSV file that spreadsheets read in the right encoding."""
    # Without the mark, Excel assumes one of the country's old encodings.
    return table.to_csv(index=index, float_format="%.4f").encode("utf-8-sig", "replace")
