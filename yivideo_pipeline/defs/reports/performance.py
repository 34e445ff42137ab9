"""The performance report: how fast, how much and how well, by day, model and device."""

import time
from typing import TYPE_CHECKING, Any

import dagster as dg

from yivideo_pipeline.defs.previews import image
from yivideo_pipeline.defs.reports.charts import draw_latency, draw_speed, draw_throughput
from yivideo_pipeline.defs.reports.files import csv_of, write
from yivideo_pipeline.defs.reports.reading import DAY_S, today, videos_so_far
from yivideo_pipeline.history.days import day_table, with_days
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.stages import OWNERS

if TYPE_CHECKING:
    import pandas as pd

GROUP = "reports"
SHOWN_ROWS = 60
NOTHING = "*No video was processed yet.*"


def performance_report_of(settings: Settings) -> dg.AssetsDefinition:
    """Make the asset with this process's settings."""

    @dg.asset(
        deps=["subtitles"],
        group_name=GROUP,
        owners=OWNERS,
        kinds={"pandas", "python"},
        tags={"domain": "reports"},
        code_version="1",
    )
    def performance_report(
        context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Ledger]
    ) -> dg.MaterializeResult:
        """Speed, throughput and time a video, by day, model and device; charts and a CSV file."""
        zone = settings.backfills.time_zone
        videos = with_days(videos_so_far(context.instance, ledger), zone)
        table = day_table(videos)
        now = time.time()
        file = write(settings.home, f"performance-{today(now, zone)}.csv", csv_of(table))
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
    """Say the last 24 hours in numbers: Dagster draws them over the reports, in the asset's plots."""
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
