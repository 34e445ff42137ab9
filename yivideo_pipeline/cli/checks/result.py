"""What a check found."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Result:
    """One line of the doctor's: what was looked at, how it is, what to do about it."""

    name: str
    level: Level
    message: str
    advice: str = ""


Check = Callable[[], Iterable[Result]]
"""Looks at one thing; what it raises counts as a failure."""
