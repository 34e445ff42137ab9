"""Statistics over errors: how many of which kind, their trend, and callbacks for them."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ErrorContext, ErrorType, Severity, YivideoError

logger = logging.getLogger(__name__)

BUCKETS_PER_WINDOW = 60

ErrorCallback = Callable[[YivideoError], None]


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """One error that happened; `time_s` is Unix time in seconds."""

    time_s: float
    kind: str
    severity: Severity
    message: str
    context: ErrorContext


@dataclass(frozen=True, slots=True)
class ErrorTrend:
    """Errors in the last window, and in the window before it."""

    current: int
    previous: int

    @property
    def change(self) -> int:
        """Errors more than in the window before; negative if there are fewer."""
        return self.current - self.previous


class ErrorStatistics:
    """Counts errors by kind and severity, keeps the last ones, and calls callbacks. Thread-safe.

    Args:
        window_s: Length of the window that `trend` compares with the one before, in seconds.
        recent: How many errors are kept in full.
        clock: Unix time in seconds.
    """

    def __init__(
        self, window_s: float = 3600.0, recent: int = 100, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._bucket_s = window_s / BUCKETS_PER_WINDOW
        self._lock = Lock()
        self._kinds: Counter[str] = Counter()
        self._severities: Counter[Severity] = Counter()
        self._recent: deque[ErrorRecord] = deque(maxlen=recent)
        # Counts by slice of time rather than single times: memory stays bounded however many errors come.
        self._buckets: dict[int, Counter[str]] = {}
        self._callbacks: list[tuple[str | type[BaseException], ErrorCallback]] = []

    def record(self, error: BaseException) -> YivideoError:
        """Classify and count an error, then call the callbacks for its kind or class.

        Returns:
            The error in terms of the tree.
        """
        found = classify(error)
        now = self._clock()
        with self._lock:
            self._kinds[found.kind] += 1
            self._severities[found.severity] += 1
            self._recent.append(ErrorRecord(now, found.kind, found.severity, found.message, found.context))
            self._buckets.setdefault(self._bucket(now), Counter())[found.kind] += 1
            self._forget_before(self._bucket(now) - 2 * BUCKETS_PER_WINDOW)
            callbacks = [call for wanted, call in self._callbacks if _matches(wanted, found, error)]
        for call in callbacks:
            _call_safely(call, found)
        return found

    def on(self, wanted: str | type[BaseException], callback: ErrorCallback) -> None:
        """Call `callback` for each error of a kind or class, subclasses included.

        A class may be of the tree or of a library. An error that a callback raises is logged, and
        affects nothing else.

        Raises:
            ValueError: There is no such kind.
        """
        if isinstance(wanted, str) and wanted not in set(ErrorType):
            raise ValueError(f"There is no kind {wanted!r}: choose one of {', '.join(sorted(ErrorType))}")
        with self._lock:
            self._callbacks.append((wanted, callback))

    def by_kind(self) -> dict[str, int]:
        """Return the number of errors of each kind."""
        with self._lock:
            return dict(self._kinds)

    def by_severity(self) -> dict[Severity, int]:
        """Return the number of errors of each severity."""
        with self._lock:
            return dict(self._severities)

    def recent(self) -> tuple[ErrorRecord, ...]:
        """Return the last errors, oldest first."""
        with self._lock:
            return tuple(self._recent)

    def trend(self, kind: str | None = None) -> ErrorTrend:
        """Compare the last window with the one before, for one kind or for all.

        The windows move in steps of a sixtieth of their length.
        """
        newest = self._bucket(self._clock())
        current = previous = 0
        with self._lock:
            for bucket, counts in self._buckets.items():
                number = counts.total() if kind is None else counts[kind]
                age = newest - bucket
                if age < BUCKETS_PER_WINDOW:
                    current += number
                elif age < 2 * BUCKETS_PER_WINDOW:
                    previous += number
        return ErrorTrend(current, previous)

    def _bucket(self, time_s: float) -> int:
        return int(time_s // self._bucket_s)

    def _forget_before(self, oldest: int) -> None:
        for bucket in [bucket for bucket in self._buckets if bucket <= oldest]:
            del self._buckets[bucket]


def _matches(wanted: str | type[BaseException], found: YivideoError, original: BaseException) -> bool:
    if isinstance(wanted, str):
        return found.kind == wanted
    return isinstance(found, wanted) or isinstance(original, wanted)


def _call_safely(callback: ErrorCallback, error: YivideoError) -> None:
    try:
        callback(error)
    except Exception:  # a fault of the caller's code must not hide the error
        logger.exception("A callback for errors of kind %s failed", error.kind)
