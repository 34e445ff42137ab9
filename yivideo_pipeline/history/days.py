"""The videos summed up by day, model and device."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import pandas as pd

BY = ("day", "model", "device")


def with_days(videos: "pd.DataFrame", time_zone: str | None) -> "pd.DataFrame":
    """Return the videos with a column `day`: midnight of the day on which each ended, in the time zone.

    Args:
        videos: As `video_table` makes them.
        time_zone: Such as Europe/Berlin; None: UTC.
    """
    return videos.assign(day=_local(videos["ended_at"], time_zone).dt.tz_localize(None).dt.normalize())


def with_times(videos: "pd.DataFrame", time_zone: str | None) -> "pd.DataFrame":
    """Return the videos with `ended_at` as a time of the time zone (None: UTC), to the second."""
    return videos.assign(ended_at=_local(videos["ended_at"], time_zone).dt.floor("s"))


def _local(unix: "pd.Series", time_zone: str | None) -> "pd.Series":
    import pandas as pd

    return pd.to_datetime(unix, unit="s", utc=True).dt.tz_convert(ZoneInfo(time_zone or "UTC"))


def by_weeks(videos: "pd.DataFrame") -> "pd.DataFrame":
    """Return the videos with the Monday of their week in place of each `day`."""
    import pandas as pd

    return videos.assign(day=videos["day"] - pd.to_timedelta(videos["day"].dt.day_of_week, unit="D"))


def day_table(videos: "pd.DataFrame", by: Sequence[str] = BY) -> "pd.DataFrame":
    """Sum up videos that have a `day`: a row for each day, model and device, in this order.

    Columns, beside what it is summed up by:
        videos: finished ones whose transcript was made; speed and time below are told of these.
        rendered_again: finished ones whose transcript was there already.
        failures: runs of one video that ended in failure; retries: second and further attempts.
        audio_h: hours of sound in `videos`; work_h: hours of work for them.
        rtfx_mean: audio by work of all of them; rtfx_p5, rtfx_p50, rtfx_p95: of the single videos, from slow
            to fast.
        wall_p50_s, wall_p95_s, wall_p99_s: seconds of work a video.
        rss_peak_mb, gpu_memory_peak_mb: the highest; NaN without a GPU.
    """
    told = videos["rtfx"].notna()
    finished = videos["outcome"] == "finished"
    marked = videos.assign(
        videos=told,
        rendered_again=finished & ~told,
        failures=videos["outcome"] == "failed",
        audio_h=videos["audio_s"].where(told) / 3600,
        work_h=videos["wall_s"].where(told) / 3600,
        wall_s=videos["wall_s"].where(told),
    )
    counts = ["videos", "rendered_again", "failures", "retries"]
    sums = [*counts, "audio_h", "work_h"]
    peaks = ["rss_peak_mb", "gpu_memory_peak_mb"]
    groups = marked.groupby(list(by), sort=True)
    table = groups[sums].sum().astype(dict.fromkeys(counts, int))
    table["rtfx_mean"] = (table["audio_h"] / table["work_h"]).where(table["work_h"] > 0)
    for percent in (5, 50, 95):
        table[f"rtfx_p{percent}"] = groups["rtfx"].quantile(percent / 100)
    for percent in (50, 95, 99):
        table[f"wall_p{percent}_s"] = groups["wall_s"].quantile(percent / 100)
    return table.join(groups[peaks].max()).reset_index()
