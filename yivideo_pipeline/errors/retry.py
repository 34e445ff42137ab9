"""Retries: which errors, how often, and after how long.

tenacity runs the attempts; the waits come from `delays`, which all code that retries shares.
"""

import logging
import math
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, islice, repeat
from typing import Any, ParamSpec, Protocol, TypeVar

import tenacity

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.origin import detail
from yivideo_pipeline.errors.tree import TaskCancelled

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 100

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)

OnRetry = Callable[[int, BaseException, float], None]
"""Called before each wait with the number of the failed attempt, its error, and the wait in seconds."""


class RetryStrategy(StrEnum):
    """How the wait grows from attempt to attempt."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    FIBONACCI = "fibonacci"


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """How often something is attempted, and how long the waits between attempts are.

    Args:
        max_attempts: Attempts in all, the first included, 1 to 100.
        base_delay_s: The unit of the waits, in seconds.
        max_delay_s: No wait is longer, in seconds.
        strategy: How the waits grow: d d d d, d 2d 3d 4d, d 2d 4d 8d, or d d 2d 3d.
        jitter: Random share by which a wait is longer or shorter, 0 to 1, so that many workers
            don't retry at the same moment.

    Raises:
        ValueError: A number is outside its bounds, or the strategy is unknown.
    """

    max_attempts: int = 3
    base_delay_s: float = 2.0
    max_delay_s: float = 60.0
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    jitter: float = 0.1

    def __post_init__(self) -> None:
        # The settings hold it as text.
        object.__setattr__(self, "strategy", RetryStrategy(self.strategy))
        if not 1 <= self.max_attempts <= MAX_ATTEMPTS:
            raise ValueError(f"max_attempts must be 1 to {MAX_ATTEMPTS}, not {self.max_attempts}")
        if not (0 <= self.base_delay_s < math.inf and 0 <= self.max_delay_s < math.inf):
            raise ValueError("base_delay_s and max_delay_s must be numbers of seconds, not negative")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be 0 to 1, not {self.jitter}")


class Retried(Protocol[P, R_co]):
    """A function that retries; `statistics["attempt_number"]` is the number of attempts of the last call."""

    __name__: str
    statistics: dict[str, Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function, and retry it if an attempt fails."""
        ...


def delays(options: RetryOptions) -> Iterator[float]:
    """Yield the seconds to wait before each further attempt, without jitter: `max_attempts - 1` of them."""
    multiples: dict[RetryStrategy, Iterator[int]] = {
        RetryStrategy.FIXED: repeat(1),
        RetryStrategy.LINEAR: count(1),
        RetryStrategy.EXPONENTIAL: (2**n for n in count()),
        RetryStrategy.FIBONACCI: _fibonacci(),
    }
    for multiple in islice(multiples[options.strategy], options.max_attempts - 1):
        yield min(options.base_delay_s * multiple, options.max_delay_s)


def with_retry(
    max_attempts: int = 3,
    base_delay: float = 2.0,
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL,
    retryable_exceptions: Collection[type[BaseException]] | None = None,
    *,
    max_delay: float = 60.0,
    jitter: float = 0.1,
    on_retry: OnRetry | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> Callable[[Callable[P, R_co]], Retried[P, R_co]]:
    """Decorate a function, sync or async, so that it is retried when it fails.

    The error of the last attempt is raised itself. A cancellation is never retried.

    Args:
        max_attempts: Attempts in all.
        base_delay: Unit of the waits, in seconds.
        strategy: How the waits grow.
        retryable_exceptions: Classes to retry; None: errors that `classify` finds retryable.
        max_delay: Longest wait, in seconds.
        jitter: Random share of each wait, 0 to 1.
        on_retry: Called for each failed attempt that another one follows; what it raises ends the
            attempts.
        sleep: Replaces `time.sleep`, or as a coroutine function `asyncio.sleep`.

    Raises:
        ValueError: An argument is outside its bounds.
    """
    options = RetryOptions(max_attempts, base_delay, max_delay, strategy, jitter)
    return retry_by(options, retryable_exceptions=retryable_exceptions, on_retry=on_retry, sleep=sleep)


def retry_by(
    options: RetryOptions,
    *,
    retryable_exceptions: Collection[type[BaseException]] | None = None,
    on_retry: OnRetry | None = None,
    sleep: Callable[[float], Any] | None = None,
) -> Callable[[Callable[P, R_co]], Retried[P, R_co]]:
    """Decorate a function as `with_retry` does, with options that come from the settings."""
    # tenacity asks for a wait after the last attempt too, and does not use it.
    schedule = (*delays(options), 0.0)
    listed = None if retryable_exceptions is None else tuple(retryable_exceptions)

    def wait(state: tenacity.RetryCallState) -> float:
        chance = random.uniform(1 - options.jitter, 1 + options.jitter)
        return min(schedule[state.attempt_number - 1] * chance, options.max_delay_s)

    def before_sleep(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is None:
            return
        logger.warning(
            "Attempt %d of %d failed (%s); retrying in %.1f s",
            state.attempt_number, options.max_attempts, detail(error), state.upcoming_sleep,
        )  # fmt: skip
        if on_retry:
            on_retry(state.attempt_number, error, state.upcoming_sleep)

    settings: dict[str, Any] = {
        "stop": tenacity.stop_after_attempt(options.max_attempts),
        "wait": wait,
        "retry": tenacity.retry_if_exception(lambda error: _is_retryable(error, listed)),
        "before_sleep": before_sleep,
        "reraise": True,
    }
    # tenacity picks the sleep that suits a sync or async function, unless one is given.
    if sleep is not None:
        settings["sleep"] = sleep
    return tenacity.retry(**settings)


def _is_retryable(error: BaseException, listed: tuple[type[BaseException], ...] | None) -> bool:
    # KeyboardInterrupt, SystemExit and the like are not Exceptions.
    if not isinstance(error, Exception):
        return False
    found = classify(error)
    if isinstance(found, TaskCancelled):
        return False
    return found.retryable if listed is None else isinstance(error, listed)


def _fibonacci() -> Iterator[int]:
    current, following = 1, 1
    while True:
        yield current
        current, following = following, current + following
