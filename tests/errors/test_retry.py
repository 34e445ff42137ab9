"""Retries: which errors are retried, how often, after which waits."""

import asyncio
import itertools
import os
import signal
from enum import StrEnum
from typing import Any

import pytest

from yivideo_pipeline.errors.retry import RetryOptions, RetryStrategy, delays, retry_by, with_retry
from yivideo_pipeline.errors.tree import (
    DiskFull,
    MediaError,
    MemoryExhausted,
    ServiceUnreachable,
    TaskCancelled,
)


class Flaky:
    """Raises the given errors one after the other, then returns."""

    def __init__(self, *errors: BaseException):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def no_sleep(seconds: float) -> None:
    pass


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (RetryStrategy.FIXED, [2, 2, 2, 2, 2, 2]),
        (RetryStrategy.LINEAR, [2, 4, 6, 8, 10, 12]),
        (RetryStrategy.EXPONENTIAL, [2, 4, 8, 16, 25, 25]),
        (RetryStrategy.FIBONACCI, [2, 2, 4, 6, 10, 16]),
    ],
)
def test_waits_follow_the_strategy_up_to_the_cap(strategy, expected):
    options = RetryOptions(max_attempts=7, base_delay_s=2, max_delay_s=25, strategy=strategy)
    assert list(delays(options)) == expected


def test_the_most_attempts_that_are_allowed_have_finite_waits():
    for strategy in RetryStrategy:
        waits = list(delays(RetryOptions(max_attempts=100, strategy=strategy)))
        assert len(waits) == 99
        assert max(waits) <= 60


def test_one_attempt_has_no_wait():
    assert list(delays(RetryOptions(max_attempts=1))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": 101},
        {"base_delay_s": -1},
        {"base_delay_s": float("nan")},
        {"max_delay_s": float("inf")},
        {"jitter": 1.5},
        {"strategy": "sometimes"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_options_out_of_bounds_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must be|not a valid"):
        RetryOptions(**wrong)


def test_options_may_come_from_a_settings_section_with_an_enum_of_its_own():
    own = StrEnum("own", {"FIBONACCI": "fibonacci"})
    section: dict[str, Any] = {"max_attempts": 4, "strategy": own["FIBONACCI"]}
    assert RetryOptions(**section).strategy is RetryStrategy.FIBONACCI


def test_the_contracts_decorator_works_as_written():
    work = Flaky(ValueError("one"), ValueError("two"))

    @with_retry(
        max_attempts=3, base_delay=0.0, strategy=RetryStrategy.EXPONENTIAL, retryable_exceptions=[ValueError]
    )
    def transcribe(path: str) -> str:
        """Keep the name and the docstring of the decorated function."""
        return path + work()

    assert transcribe("a:") == "a:done"
    assert transcribe.statistics["attempt_number"] == 3
    assert transcribe.__name__ == "transcribe"
    assert str(transcribe.__doc__).startswith("Keep")


def test_the_last_error_itself_is_raised():
    errors = [ServiceUnreachable(str(n)) for n in range(5)]
    work = Flaky(*errors)
    with pytest.raises(ServiceUnreachable) as info:
        with_retry(max_attempts=3, sleep=no_sleep)(work.__call__)()
    assert info.value is errors[2]
    assert work.calls == 3


@pytest.mark.parametrize(
    "error",
    [MemoryExhausted("m"), DiskFull("d"), ServiceUnreachable("s"), ConnectionResetError(), MemoryError()],
)
def test_what_may_pass_is_retried_by_default(error):
    work = Flaky(error)
    assert with_retry(sleep=no_sleep)(work.__call__)() == "done"
    assert work.calls == 2


@pytest.mark.parametrize("error", [MediaError("broken"), FileNotFoundError(2, "x"), KeyError("bug")])
def test_what_is_permanent_ends_at_once(error):
    work = Flaky(error)
    with pytest.raises(type(error)):
        with_retry(sleep=no_sleep)(work.__call__)()
    assert work.calls == 1


def test_an_error_that_is_not_listed_ends_at_once():
    work = Flaky(ServiceUnreachable("down"))
    with pytest.raises(ServiceUnreachable):
        with_retry(retryable_exceptions=[ValueError], sleep=no_sleep)(work.__call__)()
    assert work.calls == 1


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(1), asyncio.CancelledError(), TaskCancelled("stop")]
)
def test_a_cancellation_is_never_retried_even_when_listed(error):
    work = Flaky(error)
    with pytest.raises(type(error)):
        with_retry(retryable_exceptions=[BaseException], sleep=no_sleep)(work.__call__)()
    assert work.calls == 1


def test_ctrl_c_during_a_wait_ends_the_attempts():
    work = Flaky(ServiceUnreachable("down"))

    def interrupted(seconds: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        with_retry(sleep=interrupted)(work.__call__)()
    assert work.calls == 1


def test_each_failed_attempt_is_reported_with_the_wait_before_the_next(caplog):
    reported, slept = [], []
    errors = [ServiceUnreachable("first"), ServiceUnreachable("second")]
    options = RetryOptions(max_attempts=4, base_delay_s=3, jitter=0)
    work = retry_by(
        options,
        on_retry=lambda attempt, error, wait_s: reported.append((attempt, error, wait_s)),
        sleep=slept.append,
    )(Flaky(*errors).__call__)
    assert work() == "done"
    assert reported == [(1, errors[0], 3), (2, errors[1], 6)]
    assert slept == [3, 6]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "Attempt 1 of 4" in caplog.text


def test_jitter_spreads_the_waits_and_keeps_the_cap():
    slept: list[float] = []
    options = RetryOptions(
        max_attempts=50, base_delay_s=10, max_delay_s=11, strategy=RetryStrategy.FIXED, jitter=0.5
    )
    retry_by(options, sleep=slept.append)(Flaky(*itertools.repeat(ServiceUnreachable("x"), 49)).__call__)()
    assert len(set(slept)) > 1
    assert min(slept) >= 5
    assert max(slept) <= 11


def test_a_coroutine_is_retried_without_blocking_the_loop():
    work = Flaky(ServiceUnreachable("down"), ServiceUnreachable("down"))
    others = []

    @with_retry(max_attempts=3, base_delay=0.01)
    async def fetch() -> str:
        return work()

    async def main() -> str:
        task = asyncio.create_task(fetch())
        while not task.done():
            others.append(work.calls)
            await asyncio.sleep(0)
        return await task

    assert asyncio.run(main()) == "done"
    assert fetch.statistics["attempt_number"] == 3
    assert others.count(1) > 1


def test_calls_of_one_function_count_their_attempts_apart():
    work = Flaky(ServiceUnreachable("down"))
    decorated = with_retry(sleep=no_sleep)(work.__call__)
    decorated()
    assert decorated.statistics["attempt_number"] == 2
    decorated()
    assert decorated.statistics["attempt_number"] == 1
