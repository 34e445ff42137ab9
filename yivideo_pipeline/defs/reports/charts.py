"""The charts of the reports, as small SVG pictures whose text stays text, in the reader's own fonts."""

import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from yivideo_pipeline.history.tables import by_weeks, day_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, GRID = "#334155", "#64748b", "#e2e8f0"
FAILED = "#dc2626"
SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d3b")
"""Colours that readers with any colour vision can distinguish (after Okabe and Ito, 2008)."""
_PATHS, _DIGITS = re.compile(rb' d="[^"]*"'), re.compile(rb"(\.\d)\d+")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "yivideo",  # the same figures give the same file
    "text.parse_math": False,  # a model's name may hold a dollar sign
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "grid.color": GRID,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "path.simplify": True,
}
DIGEST_DAYS = 30
MOST_DAYS, MOST_WEEKS = 92, 104
"""Charts show days; where there are more days, weeks, and of these only the last ones."""
_WIDTH, _HEIGHT = 8.5, 2.6  # inches of 72 points


def draw_digest(videos: "pd.DataFrame", today: str) -> bytes:
    """Draw the last 30 days: videos finished and failed, and hours of video.

    Args:
        videos: As `history.tables.with_days` makes them.
        today: The last day, as 2026-01-31.
    """
    import pandas as pd
    from matplotlib.figure import Figure

    days = pd.date_range(end=today, periods=DIGEST_DAYS, freq="D")
    table = day_table(videos, ["day"]).set_index("day").reindex(days).fillna(0.0)
    videos_a_day, failures = table["videos"], table["failures"]
    with _style():
        figure = Figure(figsize=(_WIDTH, 2 * _HEIGHT), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        _draw_bars(above, days, videos_a_day, 1, SERIES[0], "finished")
        _draw_bars(above, days, failures, 1, FAILED, "failed", bottom=videos_a_day)
        above.yaxis.get_major_locator().set_params(integer=True)
        _label(above, "Videos per day", "videos", (videos_a_day + failures).max())
        _legend(above, 2)
        _draw_bars(below, days, table["audio_h"], 1, SERIES[0])
        _label(below, "Length of the finished videos", "hours of video", table["audio_h"].max())
        _draw_time_axis(below, days, 1)
        return _svg_of(figure)


def draw_speed(videos: "pd.DataFrame") -> bytes:
    """Draw × real time by day, with a line for each model and device; of a single line its spread too."""
    from matplotlib.figure import Figure

    videos, step_days = _shown(videos)
    table = day_table(videos)
    table = table[table["videos"] > 0]
    names = _names(table)
    with _style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT * 1.2), layout="constrained")
        axes = figure.subplots()
        for name, colour in zip(names, SERIES, strict=False):
            of = table[_name(table) == name]
            axes.plot(of["day"], of["rtfx_mean"], color=colour, label=name, **_markers(of))
            if len(names) == 1 and len(of) > 1:
                spread = axes.fill_between(of["day"], of["rtfx_p5"], of["rtfx_p95"], color=colour, alpha=0.15)
                spread.set(linewidth=0, label="P5 to P95 of the videos")
        highest = axes.dataLim.y1 if names else 0.0
        _label(axes, "Speed: length of the videos by the time they took", "× real time", highest)
        _finish(axes, table, step_days, len(names))
        return _svg_of(figure)


def draw_throughput(videos: "pd.DataFrame") -> bytes:
    """Draw the hours of finished video, stacked by model and device, and the failures."""
    from matplotlib.figure import Figure

    videos, step_days = _shown(videos)
    table = day_table(videos)
    names = _names(table[table["videos"] > 0])
    days = table["day"].drop_duplicates()
    with _style():
        figure = Figure(figsize=(_WIDTH, 2 * _HEIGHT), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        bottom = 0.0
        for name, colour in zip(names, SERIES, strict=False):
            hours = table[_name(table) == name].set_index("day")["audio_h"].reindex(days).fillna(0.0)
            _draw_bars(above, days, hours, step_days, colour, name, bottom)
            bottom = hours + bottom
        total = table.groupby("day")[["audio_h", "failures"]].sum()
        _label(above, "Length of the finished videos", "hours of video", total["audio_h"].max())
        if names:
            _legend(above, len(names))
        _draw_bars(below, days, total["failures"], step_days, FAILED)
        below.yaxis.get_major_locator().set_params(integer=True)
        _label(below, "Failed runs of one video", "failures", total["failures"].max())
        _draw_time_axis(below, days, step_days)
        return _svg_of(figure)


def draw_latency(videos: "pd.DataFrame") -> bytes:
    """Draw the time per video, as percentiles by day."""
    from matplotlib.figure import Figure

    videos, step_days = _shown(videos)
    table = day_table(videos, ["day"])
    table = table[table["videos"] > 0]
    is_long = table["wall_p99_s"].max() > 600
    unit_s = 60 if is_long else 1
    with _style():
        figure = Figure(figsize=(_WIDTH, _HEIGHT * 1.2), layout="constrained")
        axes = figure.subplots()
        for percent, colour in ((99, SERIES[1]), (95, SERIES[4]), (50, SERIES[0])):
            taken = table[f"wall_p{percent}_s"] / unit_s
            axes.plot(table["day"], taken, color=colour, label=f"P{percent}", **_markers(table))
        highest = table["wall_p99_s"].max() / unit_s
        _label(axes, "Work on a video, all stages", "minutes" if is_long else "seconds", highest)
        _finish(axes, table, step_days, 3)
        return _svg_of(figure)


def _shown(videos: "pd.DataFrame") -> tuple["pd.DataFrame", int]:
    """Return the videos that a chart shows, and the days from one value to the next."""
    import pandas as pd

    if videos["day"].max() - videos["day"].min() <= pd.Timedelta(days=MOST_DAYS):
        return videos, 1
    weeks = by_weeks(videos)
    return weeks[weeks["day"] > weeks["day"].max() - pd.Timedelta(weeks=MOST_WEEKS)], 7


def _markers(table: "pd.DataFrame") -> dict[str, Any]:
    """Mark the days where they are few: a single one would draw no line."""
    return {"marker": "o", "markersize": 3} if len(table) <= DIGEST_DAYS else {}


def _name(table: "pd.DataFrame") -> "pd.Series":
    return table["model"] + ", " + table["device"]


def _names(table: "pd.DataFrame") -> list[str]:
    """Return the pairs of model and device with most videos, as many as there are colours."""
    did = table["videos"].groupby(_name(table)).sum().sort_values(ascending=False, kind="stable")
    return [str(name) for name in did.index[: len(SERIES)]]


def _finish(axes: "Axes", table: "pd.DataFrame", step_days: int, lines: int) -> None:
    if table.empty:
        axes.text(0.5, 0.5, "nothing yet", transform=axes.transAxes, ha="center")
        axes.set_xticks([])
        return
    _draw_time_axis(axes, table["day"], step_days)
    _legend(axes, lines)


def _legend(axes: "Axes", entries: int) -> None:
    axes.legend(ncols=min(entries + 1, 3), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)


@contextmanager
def _style() -> Generator[None]:
    """Apply the style of all charts."""
    import matplotlib

    with warnings.catch_warnings(), matplotlib.rc_context(rc=_STYLE):
        # The browser has the letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        yield


def _svg_of(figure: "Figure") -> bytes:
    """Return a figure as an SVG file; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # A tenth of a point is finer than the eye; further digits would be half of the file.
    return _PATHS.sub(lambda path: _DIGITS.sub(rb"\1", path[0]), buffer.getvalue())


def _draw_bars(
    axes: "Axes", days: Any, heights: Any, step_days: int, colour: str, label: str = "", bottom: Any = 0.0
) -> None:
    """Draw a bar for each day, all as one shape: separate shapes would need ten times the space.

    Args:
        axes: The chart.
        days: The days, sorted.
        heights: One for each day; nothing is drawn where it is 0.
        step_days: Days from one to the next: 1, or 7 where they are weeks.
        colour: Of all of them.
        label: What they are, for the legend.
        bottom: Where they begin: one for each day, or the same for all.
    """
    import numpy as np
    from matplotlib.dates import date2num

    left = date2num(days) - 0.4 * step_days
    edges = np.column_stack([left, left + 0.8 * step_days]).ravel()
    tops, bottoms = np.full(len(edges) - 1, np.nan), np.zeros(len(edges) - 1)
    tops[::2] = np.where(heights > 0, heights + bottom, np.nan)
    bottoms[::2] = bottom
    axes.stairs(tops, edges, baseline=bottoms, fill=True, color=colour, label=label)


def _draw_time_axis(axes: "Axes", days: Any, step_days: int) -> None:
    """Give a chart an axis of days that is readable for one of them and for hundreds.

    Args:
        axes: The chart.
        days: The days in it, sorted.
        step_days: Days from one to the next: 1, or 7 where they are weeks.
    """
    import pandas as pd
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    half = pd.Timedelta(days=step_days / 2)
    week = pd.Timedelta(days=7)
    first, last = days.min() - half, days.max() + half
    # A single day would fill the whole width.
    axes.set_xlim(min(first, last - week), last)
    locator = AutoDateLocator(minticks=3, maxticks=8)
    locator.intervald[3] = [1, 2, 7, 14]  # DAILY: never hours of a day
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_xlabel("week" if step_days == 7 else "day")


def _label(axes: "Axes", title: str, unit: str, highest: float) -> None:
    """Give a chart its title, unit, range and grid."""
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.set_ylim(0, 1.08 * highest if highest > 0 else 1)
    axes.grid(axis="y")
