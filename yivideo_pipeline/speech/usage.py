"""What the model manager tells about itself, and the record it is told from."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ModelError, SystemFault

Clock = Callable[[], float]
"""Seconds from any start, never going back."""


@dataclass(frozen=True)
class Usage:
    """What the manager has done since it was made.

    `loads` counts every load that succeeded, `reloads` those of them in place of another model,
    `unloads` those that left nothing loaded. `leased_s` adds up all leases, side by side or not;
    `audio_s` is the sound that was transcribed.
    """

    loads: int = 0
    failed_loads: int = 0
    reloads: int = 0
    unloads: int = 0
    leases: int = 0
    leased_s: float = 0.0
    loading_s: float = 0.0
    audio_s: float = 0.0
    last_used_at: datetime | None = None


@dataclass(frozen=True)
class Health:
    """How the manager is now; `model` and `device` are None while nothing is loaded.

    `healthy` is false after a load or a call that failed by the model's or the machine's fault, until
    one succeeds; `last_error` says what it was.
    """

    healthy: bool
    loaded: bool
    model: str | None
    device: str | None
    leases: int
    waiting: int
    last_error: str | None


class Record:
    """Counts and the latest error, added to by many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._usage = Usage()
        self._last_error: str | None = None

    @property
    def usage(self) -> Usage:
        """All counts as they are now."""
        with self._lock:
            return self._usage

    @property
    def last_error(self) -> str | None:
        """What the latest load or call failed with; None if it did not."""
        with self._lock:
            return self._last_error

    @contextmanager
    def loading(self, is_reload: bool) -> Generator[None]:
        """Record a load."""
        started = self._clock()
        try:
            with self.attempt():
                yield
        except BaseException:
            with self._lock:
                self._usage = replace(self._usage, failed_loads=self._usage.failed_loads + 1)
            raise
        with self._lock:
            self._usage = replace(
                self._usage,
                loads=self._usage.loads + 1,
                reloads=self._usage.reloads + is_reload,
                loading_s=self._usage.loading_s + self._clock() - started,
            )

    @contextmanager
    def leasing(self) -> Generator[None]:
        """Record a lease."""
        started = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._usage = replace(
                    self._usage,
                    leases=self._usage.leases + 1,
                    leased_s=self._usage.leased_s + self._clock() - started,
                    last_used_at=datetime.now(UTC),
                )

    @contextmanager
    def attempt(self) -> Generator[None]:
        """Record whether what is done inside failed, if that is the model's or the machine's fault."""
        try:
            yield
        except Exception as error:
            known = classify(error)
            if isinstance(known, ModelError | SystemFault):
                self._set_last_error(str(known))
            raise
        self._set_last_error(None)

    def add_audio(self, seconds: float) -> None:
        """Record sound that was transcribed."""
        with self._lock:
            self._usage = replace(self._usage, audio_s=self._usage.audio_s + seconds)

    def add_unload(self) -> None:
        """Record an unload."""
        with self._lock:
            self._usage = replace(self._usage, unloads=self._usage.unloads + 1)

    def _set_last_error(self, line: str | None) -> None:
        with self._lock:
            self._last_error = line
