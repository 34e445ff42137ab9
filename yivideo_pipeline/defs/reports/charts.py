"""The charts of the reports: what is drawn of which figures."""

from typing import TYPE_CHECKING, Any

from yivideo_pipeline.defs.reports.drawing import FAILED, SERIES, draw_bars, dress, look, svg_of, time_axis
from yivideo_pipeline.history.days import by_weeks, day_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DIGEST_DAYS = 30
MOST_DAYS, MOST_WEEKS = 92, 104
"""Charts show days, weeks where there are more of them, and no more than the last weeks of that."""
_WIDTH, _HEIGHT = 8.5, 2.6  # inches of 72 points


def draw_digest(videos: "pd.DataFrame", today: str) -> bytes:
    """Draw the last 30 days: videos finished and failed, and hours of video.

    Args:
        videos: As `history.days.with_days` makes them.
        today: The last day, as 2026-01-31.
    """
    import pandas as pd
    from matplotlib.figure import Figure

    days = pd.date_range(end=today, periods=DIGEST_DAYS, freq="D")
    table = day_table(videos, ["day"]).set_index("day").reindex(days).fillna(0.0)
    videos_a_day, failures = table["videos"], table["failures"]
    with look():
        figure = Figure(figsize=(_WIDTH, 2 * _HEIGHT), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        draw_bars(above, days, videos_a_day, 1, SERIES[0], "finished")
        draw_bars(above, days, failures, 1, FAILED, "failed", bottom=videos_a_day)
        above.yaxis.get_major_locator().set_params(integer=True)
        dress(above, "Videos a day", "videos", (videos_a_day + failures).max())
        _legend(above, 2)
        draw_bars(below, days, table["audio_h"], 1, SERIES[0])
        dress(below, "Length of the finished videos", "hours of video", table["audio_h"].max())
        time_axis(below, days, 1)
        return svg_of(figure)


def draw_speed(videos: "pd.DataFrame") -> bytes:
    """Draw × real time over the days, a line a model and device; with one line, its spread too."""
    from matplotlib.figure import Figure

    videos, step_days = _shown(videos)
    table = day_table(videos)
    table = table[table["videos"] > 0]
    names = _names(table)
    with look():
        figure = Figure(figsize=(_WIDTH, _HEIGHT * 1.2), layout="constrained")
        axes = figure.subplots()
        for name, colour in zip(names, SERIES, strict=False):
            of = table[_name(table) == name]
            axes.plot(of["day"], of["rtfx_mean"], color=colour, label=name, **_markers(of))
            if len(names) == 1 and len(of) > 1:
                spread = axes.fill_between(of["day"], of["rtfx_p5"], of["rtfx_p95"], color=colour, alpha=0.15)
                spread.set(linewidth=0, label="P5 to P95 of the videos")
        highest = axes.dataLim.y1 if names else 0.0
        dress(axes, "Speed: length of the videos by the time they took", "× real time", highest)
        _finish(axes, table, step_days, len(names))
        return svg_of(figure)


def draw_throughput(videos: "pd.DataFrame") -> bytes:
    """Draw the hours of video that were finished, stacked by model and device, and the failures."""
    from matplotlib.figure import Figure

    videos, step_days = _shown(videos)
    table = day_table(videos)
    names = _names(table[table["videos"] > 0])
    days = table["day"].drop_duplicates()
    with look():
        figure = Figure(figsize=(_WIDTH, 2 * _HEIGHT), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        bottom = 0.0
        for name, colour in zip(names, SERIES, strict=False):
            hours = table[_name(table) == name].set_index("day")["audio_h"].reindex(days).fillna(0.0)
            draw_bars(above, days, hours, step_days, colour, name, bottom)
            bottom = hours + bottom
        total = table.groupby("day")[["audio_h", "failures"]].sum()
        dress(above, "Length of the finished videos", "hours of video", total["audio_h"].max())
        if names:
            _legend(above, len(names))
        draw_bars(below, days, total["failures"], step_days, FAILED)
        below.yaxis.get_major_locator().set_params(integer=True)
        dress(below, "Failed runs of one video", "failures", total["failures"].max())
        time_axis(below, days, step_days)
        return svg_of(figure)


def draw_latency(videos: "pd.DataFrame") -> bytes:
    """Draw how long a video took, as percentiles over the days."""
    from matplotlib.figure import Figure

    videos, step_days = _shown(videos)
    table = day_table(videos, ["day"])
    table = table[table["videos"] > 0]
    is_long = table["wall_p99_s"].max() > 600
    unit_s = 60 if is_long else 1
    with look():
        figure = Figure(figsize=(_WIDTH, _HEIGHT * 1.2), layout="constrained")
        axes = figure.subplots()
        for percent, colour in ((99, SERIES[1]), (95, SERIES[4]), (50, SERIES[0])):
            taken = table[f"wall_p{percent}_s"] / unit_s
            axes.plot(table["day"], taken, color=colour, label=f"P{percent}", **_markers(table))
        highest = table["wall_p99_s"].max() / unit_s
        dress(axes, "Work on a video, all stages", "minutes" if is_long else "seconds", highest)
        _finish(axes, table, step_days, 3)
        return svg_of(figure)


def _shown(videos: "pd.DataFrame") -> tuple["pd.DataFrame", int]:
    """Return the videos that a chart shows, and by how many days it goes."""
    import pandas as pd

    if videos["day"].max() - videos["day"].min() <= pd.Timedelta(days=MOST_DAYS):
        return videos, 1
    weeks = by_weeks(videos)
    return weeks[weeks["day"] > weeks["day"].max() - pd.Timedelta(weeks=MOST_WEEKS)], 7


def _markers(table: "pd.DataFrame") -> dict[str, Any]:
    """Mark the single days where they are few: one alone would draw no line."""
    return {"marker": "o", "markersize": 3} if len(table) <= DIGEST_DAYS else {}


def _name(table: "pd.DataFrame") -> "pd.Series":
    return table["model"] + ", " + table["device"]


def _names(table: "pd.DataFrame") -> list[str]:
    """Return the pairs of model and device that did most, as many as there are colours."""
    did = table["videos"].groupby(_name(table)).sum().sort_values(ascending=False, kind="stable")
    return [str(name) for name in did.index[: len(SERIES)]]


def _finish(axes: "Axes", table: "pd.DataFrame", step_days: int, lines: int) -> None:
    if table.empty:
        axes.text(0.5, 0.5, "nothing yet", transform=axes.transAxes, ha="center")
        axes.set_xticks([])
        return
    time_axis(axes, table["day"], step_days)
    _legend(axes, lines)


def _legend(axes: "Axes", entries: int) -> None:
    axes.legend(ncols=min(entries + 1, 3), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)
