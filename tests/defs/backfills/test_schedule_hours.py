from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from yivideo_pipeline.defs.backfills.tick import seconds_left

NIGHT, DAY = (time(22), time(6)), (time(8, 30), time(17))
BERLIN = ZoneInfo("Europe/Berlin")
HOUR_S = 3600


@pytest.mark.parametrize(
    ("hours", "clock", "left_h"),
    [
        (NIGHT, "2026-11-22T22:00", 8),
        (NIGHT, "2026-11-23T05:30", 0.5),
        (NIGHT, "2026-11-23T06:00", 0),
        (NIGHT, "2026-11-22T21:59", 0),
        (DAY, "2026-11-22T08:30", 8.5),
        (DAY, "2026-11-22T08:29", 0),
        (DAY, "2026-11-22T17:00", 0),
        ((time(3), time(3)), "2026-11-22T04:00", 23),
    ],
)
def test_it_is_open_from_its_begin_until_just_before_its_end(hours, clock, left_h):
    assert seconds_left(hours, datetime.fromisoformat(clock).replace(tzinfo=BERLIN)) == left_h * HOUR_S


def test_without_a_window_there_is_no_end():
    assert seconds_left(None, datetime.now(BERLIN)) is None


def test_a_night_in_which_the_clocks_go_back_is_an_hour_longer():
    assert seconds_left(NIGHT, datetime(2026, 10, 24, 22, tzinfo=BERLIN)) == 9 * HOUR_S
