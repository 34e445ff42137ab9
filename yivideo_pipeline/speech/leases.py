"""Who uses the one model of a process, and whose turn it is to change it: first come, first served."""

import threading
from collections import Counter, deque
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from itertools import takewhile
from typing import Generic, TypeVar

from yivideo_pipeline.errors.tree import YivideoError

Wanted = TypeVar("Wanted", bound=Hashable)


@dataclass(eq=False)
class _Place:
    """A place in the line; `error` is what it is turned away with."""

    wanted: Hashable | None
    error: YivideoError | None = None


class Leases(Generic[Wanted]):
    """Leases of a thing that many may use at once, but that is changed while nobody uses it.

    Those who want something wait in one line. Whoever is at its front has the turn as soon as what
    they want is there, or nobody has a lease, so that they can bring it about. Nobody overtakes:
    leases of what is there now can't keep a change waiting for ever.

    `current` names what is there, None for nothing. Only who has the turn sets it, and only while
    there is no lease.
    """

    def __init__(self) -> None:
        self.current: Wanted | None = None
        # Over an RLock: the garbage collector may end a forgotten lease in a thread that is in here.
        self._changed = threading.Condition(threading.RLock())
        self._line: deque[_Place] = deque()
        self._leases: Counter[int] = Counter()
        self._closed: YivideoError | None = None

    @property
    def count(self) -> int:
        """How many leases there are now."""
        with self._changed:
            return self._leases.total()

    @property
    def waiting(self) -> int:
        """How many stand in line, whoever has the turn among them."""
        with self._changed:
            return len(self._line)

    def is_held_by(self, holder: int) -> bool:
        """Whether a holder (a thread's identifier) has a lease."""
        with self._changed:
            return holder in self._leases

    def add(self, holder: int) -> None:
        """Give a lease to who has the turn, or has a lease already."""
        with self._changed:
            self._leases[holder] += 1

    def end(self, holder: int) -> bool:
        """End one of a holder's leases; returns whether it was the last of all."""
        with self._changed:
            self._leases[holder] -= 1
            if not self._leases[holder]:
                del self._leases[holder]
            self._changed.notify_all()
            return not self._leases

    @contextmanager
    def turn(self, wanted: Wanted | None, timeout_s: float | None = None) -> Generator[None]:
        """Wait for the turn; it lasts until the block ends, and no lock is held inside.

        Args:
            wanted: What shall be there; None for nothing.
            timeout_s: How long to wait at most; 0 not at all, None without end.

        Raises:
            TimeoutError: the turn did not come in time.
            YivideoError: what `turn_away` or `close` gave.
        """
        place = _Place(wanted)
        with self._changed:
            if self._closed and wanted is not None:
                raise copy(self._closed)
            self._line.append(place)
        try:
            self._wait(place, timeout_s)
            yield
        finally:
            with self._changed:
                self._line.remove(place)
                self._changed.notify_all()

    def _wait(self, place: _Place, timeout_s: float | None) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_over(place), timeout_s):
                raise TimeoutError
            if place.error:
                raise place.error

    def _is_over(self, place: _Place) -> bool:
        """Whether a place's waiting is over."""
        if place.error:
            return True
        return self._line[0] is place and (place.wanted == self.current or not self._leases)

    def turn_away(self, error: YivideoError) -> None:
        """Raise an error for those too who wait right behind this turn and want the same."""
        with self._changed:
            turn, *others = self._line
            for place in takewhile(lambda other: other.wanted == turn.wanted, others):
                place.error = copy(error)
            self._changed.notify_all()

    def close(self, error: YivideoError) -> None:
        """Raise an error for all who wait or come, but for those who want nothing to be there."""
        with self._changed:
            self._closed = error
            for place in self._line:
                if place.wanted is not None:
                    place.error = copy(error)
            self._changed.notify_all()
