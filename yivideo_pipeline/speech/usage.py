"""The usage and health of the model manager, and the recorder that counts them.

Apart from the manager, which decides who has the model and when; this only counts.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ModelError, SystemFault

Clock = Callable[[], float]
"""Returns seconds of a monotonic clock."""


@dataclass(frozen=True)
class ModelUsage:
    """Counts since the manager was created.

    `loads` counts every load that succeeded, `reloads` those that replaced another model, `unloads`
    those that left nothing loaded. `leased_s` adds up all leases, concurrent or not; `audio_s` adds up
    the transcribed sound.
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
class ModelHealth:
    """The present state of the manager; `model` and `device` are None while nothing is loaded.

    `healthy` is false after a load or a call that failed because of the model or the machine, until
    one succeeds; `last_error` is its message.
    """

    healthy: bool
    loaded: bool
    model: str | None
    device: str | None
    leases: int
    waiting: int
    last_error: str | None


class UsageRecorder:
    """Collects counts and the latest error from many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._usage = ModelUsage()
        self._last_error: str | None = None

    @property
    def usage(self) -> ModelUsage:
        """The present counts."""
        with self._lock:
            return self._usage

    @property
    def last_error(self) -> str | None:
        """Message of the latest load or call if it failed, else None."""
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
        """Record whether the block failed because of the model or the machine."""
        try:
            yield
        except Exception as error:
            known = classify(error)
            if isinstance(known, ModelError | SystemFault):
                self._set_last_error(str(known))
            raise
        self._set_last_error(None)

    def add_audio(self, seconds: float) -> None:
        """Record transcribed sound."""
        with self._lock:
            self._usage = replace(self._usage, audio_s=self._usage.audio_s + seconds)

    def add_unload(self) -> None:
        """Record an unload."""
        with self._lock:
            self._usage = replace(self._usage, unloads=self._usage.unloads + 1)

    def _set_last_error(self, line: str | None) -> None:
        with self._lock:
            self._last_error = line
