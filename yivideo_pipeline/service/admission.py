"""Who is let in: a bounded number of requests at once, so that memory stays flat and waiting stays short."""

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic

MOST_RETRY_AFTER_S = 60
REMEMBERED = 50


class Overloaded(Exception):
    """All places are taken; `retry_after_s` says when one will likely be free."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"All places are taken; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Admission:
    """Places for requests that wait for the model or use it.

    Args:
        places: How many there are.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._lock = threading.Lock()
        self._inside = 0
        self._lasted: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def inside(self) -> int:
        """How many places are taken."""
        return self._inside

    @contextmanager
    def place(self) -> Generator[None]:
        """Take a place for as long as the block lasts.

        Raises:
            Overloaded: there is none.
        """
        began = monotonic()
        with self._lock:
            if self._inside >= self.places:
                raise Overloaded(self._retry_after())
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                self._lasted.append(monotonic() - began)

    def _retry_after(self) -> int:
        """Seconds until a place will likely be free: requests so far lasted as long as they did."""
        mean_s = sum(self._lasted) / len(self._lasted) if self._lasted else 1.0
        return round(min(MOST_RETRY_AFTER_S, max(1.0, mean_s / self.places)))
