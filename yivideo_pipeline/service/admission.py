"""Admission: a bounded number of requests at once, so that memory stays flat and waits stay short."""

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic

MAX_RETRY_AFTER_S = 60
REMEMBERED = 50
"""The mean duration is taken over this many of the latest requests."""


class Overloaded(Exception):
    """All slots are taken; `retry_after_s` estimates when one will be free."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"All slots are taken; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Admission:
    """Slots for requests that wait for the model or use it.

    Args:
        slots: How many requests are admitted at once.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._lock = threading.Lock()
        self._taken = 0
        self._durations_s: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def taken(self) -> int:
        """How many slots are taken."""
        return self._taken

    @contextmanager
    def slot(self) -> Generator[None]:
        """Take a slot until the block ends.

        Raises:
            Overloaded: All slots are taken.
        """
        started = monotonic()
        with self._lock:
            if self._taken >= self.slots:
                raise Overloaded(self._retry_after_s())
            self._taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1
                self._durations_s.append(monotonic() - started)

    def _retry_after_s(self) -> int:
        """Return the seconds until a slot will likely be free, judged by how long requests took so far."""
        mean_s = sum(self._durations_s) / len(self._durations_s) if self._durations_s else 1.0
        return round(min(MAX_RETRY_AFTER_S, max(1.0, mean_s / self.slots)))
