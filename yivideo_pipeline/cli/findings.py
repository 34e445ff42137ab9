"""What a check of `yivideo doctor` finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class CheckFinding:
    """One line of the report: what was checked, what was found, what to do about it."""

    name: str
    level: Level
    message: str
    advice: str = ""


Check = Callable[[], Iterable[CheckFinding]]
"""Checks one thing; an error that it raises counts as a failure."""
