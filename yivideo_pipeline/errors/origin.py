"""What an error of a library is and says, read without importing that library."""

import re
from collections.abc import Callable, Iterator

from yivideo_pipeline.errors.redact import redact
from yivideo_pipeline.errors.tree import YivideoError

MAX_DETAIL_CHARS = 300

_ERROR_NUMBER = re.compile(r"^\[Errno -?\d+\] ")

Rule = Callable[[BaseException], YivideoError | None]
"""Returns the error of the tree that a library's error means, or None where the rule does not apply."""


def class_names(error: BaseException) -> frozenset[str]:
    """Return the names of the error's class and its bases, each as `package.Class`.

    Only the top package is kept: libraries move classes between their submodules from one release
    to the next.
    """
    return frozenset(f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(error).__mro__)


def detail(error: BaseException) -> str:
    """Return the first line of the library's message, or the error's type if there is none.

    Secrets and the number of a system's error are left out, and a long line is cut.
    """
    lines = _ERROR_NUMBER.sub("", str(error)).strip().splitlines()
    first = redact(lines[0].strip()) if lines else type(error).__name__
    return first if len(first) <= MAX_DETAIL_CHARS else f"{first[:MAX_DETAIL_CHARS]}…"


def explain(claim: str, error: BaseException) -> str:
    """Return our own words, followed by the library's in brackets."""
    return f"{claim} ({detail(error)})"


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then the one that it was explicitly raised from, and so on."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        yield current
        seen.add(id(current))
        current = current.__cause__
