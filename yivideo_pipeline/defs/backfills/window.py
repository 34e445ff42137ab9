"""The hours in which scheduled backfills may work."""

from datetime import datetime, time, timedelta


def seconds_left(hours: tuple[time, time] | None, now: datetime) -> float | None:
    """Return how much is left of the window at this moment; 0 outside of it, None where there is none.

    Args:
        hours: Begin and end; it goes over midnight where the end is not after the begin.
        now: With the time zone that the hours are meant in.
    """
    if hours is None:
        return None
    begin, end = hours
    for first_day in (now.date(), now.date() - timedelta(days=1)):
        opens = datetime.combine(first_day, begin, now.tzinfo)
        last_day = first_day if end > begin else first_day + timedelta(days=1)
        closes = datetime.combine(last_day, end, now.tzinfo)
        if opens <= now < closes:
            # By Unix time: a night in which the clocks change is an hour shorter or longer.
            return closes.timestamp() - now.timestamp()
    return 0.0
