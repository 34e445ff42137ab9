"""The charts of the reports: what is drawn of which figures."""

from typing import TYPE_CHECKING

from yivideo_pipeline.defs.reports.drawing import FAILED, SERIES, dress, look, svg_of, time_axis
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
    with look():
        figure = Figure(figsize=(_WIDTH, 2 * _HEIGHT), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        above.bar(days, table["videos"], color=SERIES[0], label="finished")
        above.bar(days, table["failures"], bottom=table["videos"], color=FAILED, label="failed")
        above.yaxis.get_major_locator().set_params(integer=True)
        above.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
        dress(above, "Videos a day", "videos")
        below.bar(days, table["audio_h"], color=SERIES[0])
        dress(below, "Length of the finished videos", "hours of video")
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
            axes.plot(of["day"], of["rtfx_mean"], color=colour, label=name, marker="o", markersize=3)
            if len(names) == 1:
                spread = axes.fill_between(of["day"], of["rtfx_p5"], of["rtfx_p95"], color=colour, alpha=0.15)
                spread.set(linewidth=0, label="P5 to P95 of the videos")
        dress(axes, "Speed: length of the videos by the time they took", "× real time")
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
            above.bar(days, hours, bottom=bottom, color=colour, label=name, width=step_days * 0.8)
            bottom = hours.to_numpy() + bottom
        dress(above, "Length of the finished videos", "hours of video")
        if names:
            _legend(above, len(names))
        failures = table.groupby("day")["failures"].sum()
        below.bar(failures.index, failures, color=FAILED, width=step_days * 0.8)
        below.yaxis.get_major_locator().set_params(integer=True)
        dress(below, "Failed runs of one video", "failures")
        time_axis(below, days, step_days)
        return svg_of(figure)


def draw_latency(videos: "pd.DataFrame") -> bytes:
    """Draw how long a video took, as percentiles over the days."""
    from matplotlib.figure import Figure

    videos, step_days = _shown(videos)
    table = day_table(videos, ["day"])
    table = table[table["videos"] > 0]
    is_long = table["wall_p99_s"].max() > 600
    with look():
        figure = Figure(figsize=(_WIDTH, _HEIGHT * 1.2), layout="constrained")
        axes = figure.subplots()
        for percent, colour in ((99, SERIES[1]), (95, SERIES[4]), (50, SERIES[0])):
            taken = table[f"wall_p{percent}_s"] / (60 if is_long else 1)
            axes.plot(table["day"], taken, color=colour, label=f"P{percent}", marker="o", markersize=3)
        dress(axes, "Work on a video, all stages", "minutes" if is_long else "seconds")
        _finish(axes, table, step_days, 3)
        return svg_of(figure)


def _shown(videos: "pd.DataFrame") -> tuple["pd.DataFrame", int]:
    """Return the videos that a chart shows, and by how many days it goes."""
    import pandas as pd

    if videos["day"].max() - videos["day"].min() <= pd.Timedelta(days=MOST_DAYS):
        return videos, 1
    weeks = by_weeks(videos)
    return weeks[weeks["day"] > weeks["day"].max() - pd.Timedelta(weeks=MOST_WEEKS)], 7


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
