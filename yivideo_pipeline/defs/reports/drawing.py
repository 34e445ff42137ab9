"""Charts as small SVG pictures with their text as text: names show in the reader's own fonts."""

import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, GRID = "#334155", "#64748b", "#e2e8f0"
FAILED = "#dc2626"
SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d3b")
"""Colours that people with any colour vision tell apart (after Okabe and Ito, 2008)."""
_PATHS, _DIGITS = re.compile(rb' d="[^"]*"'), re.compile(rb"(\.\d)\d+")
_LOOK: dict[Any, Any] = {
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


@contextmanager
def look() -> Generator[None]:
    """Draw in the house's look."""
    import matplotlib

    with warnings.catch_warnings(), matplotlib.rc_context(rc=_LOOK):
        # The reader's browser has the letters that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        yield


def svg_of(figure: "Figure") -> bytes:
    """Return a figure as an SVG file; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # A tenth of a point is finer than the eye: further digits would be half of the file.
    return _PATHS.sub(lambda path: _DIGITS.sub(rb"\1", path[0]), buffer.getvalue())


def draw_bars(
    axes: "Axes", days: Any, heights: Any, step_days: int, colour: str, label: str = "", bottom: Any = 0.0
) -> None:
    """Draw a bar a day, all of them as one shape: as many shapes would take ten times the room.

    Args:
        axes: The chart.
        days: The days, sorted.
        heights: One a day; nothing is drawn where it is 0.
        step_days: Days from one to the next: 1, or 7 where they are weeks.
        colour: Of all of them.
        label: What they are, for the legend.
        bottom: Where they begin; one a day, or the same for all.
    """
    import numpy as np
    from matplotlib.dates import date2num

    left = date2num(days) - 0.4 * step_days
    edges = np.column_stack([left, left + 0.8 * step_days]).ravel()
    tops, bottoms = np.full(len(edges) - 1, np.nan), np.zeros(len(edges) - 1)
    tops[::2] = np.where(heights > 0, heights + bottom, np.nan)
    bottoms[::2] = bottom
    axes.stairs(tops, edges, baseline=bottoms, fill=True, color=colour, label=label)


def time_axis(axes: "Axes", days: Any, step_days: int) -> None:
    """Give a chart an axis of days that reads well for one of them as for hundreds.

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


def dress(axes: "Axes", title: str, unit: str, highest: float) -> None:
    """Give a chart its title, the unit of its height, its range, and lines to read it by."""
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.set_ylim(0, 1.08 * highest if highest > 0 else 1)
    axes.grid(axis="y")
