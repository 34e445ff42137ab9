"""Waits for what happens in other processes and threads."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
TIMEOUT_S = 300.0
"""Only who would fail waits so long: on a busy machine a start of Dagster may take minutes."""


def wait_for(condition: Callable[[], T | None], poll_s: float = 0.3, timeout_s: float = TIMEOUT_S) -> T:
    """Return what the condition returns, as soon as that is true."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(poll_s)
    return value
