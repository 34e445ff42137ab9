"""A fair lock for the one model of a process: many share it, and it changes while nobody uses it.

Apart from the manager since it knows nothing of models: it is a lock with a queue.
"""

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
class _Ticket:
    """A place in the queue; `error` is raised in place of the turn."""

    wanted: Hashable | None
    error: YivideoError | None = None


class Leases(Generic[Wanted]):
    """Leases of a thing that many may use at once, but that is changed while nobody uses it.

    Requests wait in one queue. The first one has its turn as soon as the thing it wants is there, or
    nobody has a lease, so that it can change the thing. Requests are served in order: leases of the
    present thing can't delay a change for ever.

    `current` names the present thing, None for nothing. Only the holder of the turn sets it, and only
    while there is no lease.
    """

    def __init__(self) -> None:
        self.current: Wanted | None = None
        # Over an RLock: the garbage collector may end a forgotten lease in a thread that is in here.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[_Ticket] = deque()
        self._leases: Counter[int] = Counter()
        self._closed: YivideoError | None = None

    @property
    def count(self) -> int:
        """Number of present leases."""
        with self._changed:
            return self._leases.total()

    @property
    def waiting(self) -> int:
        """Number of requests in the queue, including the one that has its turn."""
        with self._changed:
            return len(self._queue)

    def is_held_by(self, holder: int) -> bool:
        """Return whether a holder (a thread's identifier) has a lease."""
        with self._changed:
            return holder in self._leases

    def add(self, holder: int) -> None:
        """Add a lease; the holder must have the turn or another lease."""
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
            wanted: The thing to be there; None for nothing.
            timeout_s: How long to wait at most; 0 not at all, None without limit.

        Raises:
            TimeoutError: the turn did not come in time.
            YivideoError: the error given to `fail_waiting` or `close`.
        """
        ticket = _Ticket(wanted)
        with self._changed:
            if self._closed and wanted is not None:
                raise copy(self._closed)
            self._queue.append(ticket)
        try:
            self._wait(ticket, timeout_s)
            yield
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def _wait(self, ticket: _Ticket, timeout_s: float | None) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_ready(ticket), timeout_s):
                raise TimeoutError
            if ticket.error:
                raise ticket.error

    def _is_ready(self, ticket: _Ticket) -> bool:
        if ticket.error:
            return True
        return self._queue[0] is ticket and (ticket.wanted == self.current or not self._leases)

    def fail_waiting(self, error: YivideoError) -> None:
        """Raise an error also for the requests right behind this turn that want the same thing."""
        with self._changed:
            turn, *others = self._queue
            for ticket in takewhile(lambda other: other.wanted == turn.wanted, others):
                ticket.error = copy(error)
            self._changed.notify_all()

    def close(self, error: YivideoError) -> None:
        """Raise an error for all present and future requests, except those that want nothing to be there."""
        with self._changed:
            self._closed = error
            for ticket in self._queue:
                if ticket.wanted is not None:
                    ticket.error = copy(error)
            self._changed.notify_all()
