"""Admission: a bounded number of requests at once, and of wrong keys from one address.

The first keeps memory flat and waits short.
"""

import ipaddress
import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Generator
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
        background_slots: Returns how many of them may be requests that others go before; by default all.
    """

    def __init__(self, slots: int, background_slots: Callable[[], int] | None = None) -> None:
        self.slots = slots
        self._background_slots = background_slots
        self._lock = threading.Lock()
        self._taken = 0
        self._durations_s: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def taken(self) -> int:
        """How many slots are taken."""
        return self._taken

    @contextmanager
    def slot(self, background: bool = False) -> Generator[None]:
        """Take a slot until the block ends.

        Args:
            background: Whether all other requests go before this one.

        Raises:
            Overloaded: All slots that it may have are taken.
        """
        started = monotonic()
        slots = self.slots
        if background and self._background_slots:
            slots = min(slots, self._background_slots())
        with self._lock:
            if self._taken >= slots:
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


WRONG_KEYS = 10
WRONG_KEYS_S = 60.0
"""An address may send so many wrong keys in so many seconds."""
MAX_ADDRESSES = 10_000
IPV6_SITE = 64
"""Bits of an IPv6 address that its owner can't choose."""


class KeyThrottle:
    """Refuses further wrong keys from an address that has sent many; each address is judged by itself.

    The right key is let in from everywhere at any time, so that nobody can lock the owner out, not even a
    program with an old key on his own machine. Keys are too long to be guessed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def note_wrong_key(self, host: str) -> int:
        """Count a wrong key.

        Args:
            host: The client's IP address.

        Returns:
            0, or in how many seconds the address may try again.
        """
        now, site = monotonic(), _site_of(host)
        with self._lock:
            times = self._wrong.setdefault(site, deque(maxlen=WRONG_KEYS))
            self._wrong.move_to_end(site)
            if len(self._wrong) > MAX_ADDRESSES:
                self._wrong.popitem(last=False)
            if len(times) == WRONG_KEYS and now - times[0] < WRONG_KEYS_S:
                return math.ceil(WRONG_KEYS_S - (now - times[0]))
            times.append(now)
        return 0


def _site_of(host: str) -> str:
    """Return the address, or the network of an IPv6 address: its owner has all of that network."""
    try:
        address = ipaddress.ip_address(host)
        if isinstance(address, ipaddress.IPv6Address) and not address.ipv4_mapped:
            return str(ipaddress.ip_network(f"{host}/{IPV6_SITE}", strict=False))
    except ValueError:  # no address, or one with a zone
        pass
    return host
