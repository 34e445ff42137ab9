"""Charts as small SVG pictures with their text as text: names show in the reader's own fonts."""

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
_LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "yivideo",  # the same figures give the same file
    "text.parse_math": False,  # a model's name may hold a dollar sign
    "font.family": "sans-serif",
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
    return buffer.getvalue()


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
    axes.set_xlabel("week from" if step_days == 7 else "day")


def dress(axes: "Axes", title: str, unit: str) -> None:
    """Give a chart its title, the unit of its height, and lines to read it by."""
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
