"""What both reports read: the videos so far, and which day it is."""

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import dagster as dg

from yivideo_pipeline.history.collect import collect
from yivideo_pipeline.history.tables import sample_table, video_table
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.stages import CODE_VERSIONS

if TYPE_CHECKING:
    import pandas as pd

DAY_S = 86_400.0


def videos_so_far(instance: dg.DagsterInstance, ledger: Ledger) -> "pd.DataFrame":
    """Return each piece of work on a video up to now, as `history.tables.video_table` makes them."""
    collect(instance, ledger.samples, tuple(CODE_VERSIONS))
    return video_table(sample_table(ledger.samples))


def today(now: float, time_zone: str | None) -> str:
    """Return the date in a time zone (None: UTC), as 2026-01-31."""
    return datetime.fromtimestamp(now, ZoneInfo(time_zone or "UTC")).date().isoformat()
