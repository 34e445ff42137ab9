"""How often Python searches for garbage, in programs that import much and then work or end."""

import atexit
import gc
from collections.abc import Generator
from contextlib import contextmanager

_THRESHOLD = 10_000
"""New objects between two searches; Python's default is 700."""


def search_garbage_seldom() -> None:
    """Search for garbage less often, and not at all while the process ends.

    Importing Dagster and SQLAlchemy makes 250,000 objects and no garbage. Searching them takes a third of the
    time of a program that has nothing to do, half of that in the searches at its end, which free what the
    kernel frees anyway. To be called before the imports.
    """
    gc.set_threshold(_THRESHOLD)
    atexit.register(gc.freeze)


@contextmanager
def building() -> Generator[None]:
    """Search for no garbage while very many objects are made that are all needed: a third of a scan."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def importing() -> Generator[None]:
    """Search for no garbage while much is imported, nor ever in what lives by then: a tenth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
