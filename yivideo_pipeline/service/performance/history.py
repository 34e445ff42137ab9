"""The history of the work as tables, by one thread at a time; nothing of it stays in memory."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Select

from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.operation_queries import (
    COLUMNS,
    Window,
    request_operations,
    stage_operations,
    video_operations,
)
from yivideo_pipeline.ledger.samples import Columns
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.performance.operations import OPERATIONS, REQUESTS

if TYPE_CHECKING:
    import dagster as dg
    import pandas as pd

PATIENCE_S = 10.0
"""How long a request waits for its turn: a long history takes seconds to be read for the first time."""
TEXTS = ("operation", "key", "run_id", "kind", "message", "hint")
"""The columns of operations that are texts."""
_CHUNK = 1000
BRIEFLY_S = 1.0
"""How long metrics wait for what another thread is reading."""
OnNew = Callable[[Columns], None]
"""Called with samples that were read for the first time, the first of them at the start."""


class _Closed(Exception):
    """The service ends: an import that takes minutes begins anew at its next start."""


class Tables:
    """The operations as tables, each read when it is asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self._operations = ledger.operations

    def operations(self, name: str | None, window: Window) -> "pd.DataFrame":
        """Return the operations of a name that ended in a window, the oldest first.

        Numbers are floats, NaN where there is none; texts are None there.

        Args:
            name: The operation's name; None: whole videos and requests together.
            window: The window.
        """
        import pandas as pd

        chunks = list(self.chunks(*queries_of(name, window)))
        return pd.concat(chunks, ignore_index=True) if chunks else _table(dict.fromkeys(COLUMNS, ()))

    def chunks(self, *queries: Select) -> "Iterator[pd.DataFrame]":
        """Yield the operations of some queries, the oldest first, some at a time."""
        return map(_table, self._operations.read(*queries))

    def run_waits(self, window: Window) -> "pd.Series":
        """Return how many seconds each run waited that started in the window."""
        import pandas as pd

        return pd.Series(self._operations.run_waits(window), dtype=float)


class History:
    """Reads the ledger, after it has brought it up to date with what Dagster knows alone.

    Args:
        home: The home folder.
        ledger: Opens its ledger, or returns the open one.
        on_new: Called with each sample once.
    """

    def __init__(self, home: Path, ledger: Callable[[], Ledger], on_new: OnNew) -> None:
        self._home = home
        self._ledger = ledger
        self._on_new = on_new
        self._lock, self._refreshing = threading.Lock(), threading.Lock()
        self._opening = threading.Lock()
        self._closed = threading.Event()
        self._instance: dg.DagsterInstance | None = None
        self._last_sample = 0

    @contextmanager
    def tables(self, patience_s: float = PATIENCE_S) -> Generator[Tables]:
        """Read what is new and lend all tables, to one thread at a time: speech needs the processor.

        Args:
            patience_s: How long to wait for the turn; -1: for ever.

        Raises:
            Refused: 503; the turn did not come.
        """
        if not self._lock.acquire(timeout=patience_s):
            raise Refused(
                503, "history_busy", "The history is being read for the first time", "Try again in a minute"
            )
        try:
            with self._refreshing:
                self._refresh()
            yield Tables(self._ledger())
        finally:
            self._lock.release()

    def refresh_unless_busy(self) -> None:
        """Read what is new, unless another thread is at it for long; it waits for no tables."""
        if self._refreshing.acquire(timeout=BRIEFLY_S):
            try:
                self._refresh()
            finally:
                self._refreshing.release()

    def instance(self) -> "dg.DagsterInstance | None":
        """Return Dagster's instance, once there is one."""
        with self._opening:
            if self._instance is None:
                from yivideo_pipeline.history.instance import find_instance

                self._instance = find_instance(self._home)
            return self._instance

    def clear(self, now: float, keep: Callable[[Tables], None] | None = None) -> int:
        """Forget all samples up to a time, for good; Dagster's history stays. Returns how many.

        Args:
            now: Unix time.
            keep: Called before, to write the tables elsewhere; nothing is forgotten if it raises.
        """
        with self.tables() as tables:  # what has happened is counted before it is forgotten
            if keep:
                keep(tables)
            ledger = self._ledger()
            count = ledger.samples.clear(now) + ledger.requests.clear(now)
            ledger.machine.clear()
            return count

    def end_reading(self) -> None:
        """End an import that is under way; none begins any more."""
        self._closed.set()

    def close(self) -> None:
        """Close Dagster's instance."""
        with self._opening:
            if self._instance:
                self._instance.dispose()
            self._instance = None

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise _Closed

    def _refresh(self) -> None:
        ledger, instance = self._ledger(), self.instance()
        if instance:
            from yivideo_pipeline.history.import_events import import_events
            from yivideo_pipeline.history.lost_work import record_lost_work

            import_events(instance, ledger, self._require_open)
            record_lost_work(ledger, instance)
        else:
            ledger.workers.bury_dead()
        while (new := ledger.samples.added(self._last_sample, _CHUNK))["id"]:
            self._last_sample = new["id"][-1]
            self._on_new(new)


def queries_of(name: str | None, window: Window) -> list[Select]:
    """Return what selects the operations of a name (None: whole videos and requests) in a window."""
    if name is None:
        return [*queries_of("process_video", window), request_operations(window)]
    if name in REQUESTS.values():
        return [request_operations(window, name)]
    operation = OPERATIONS[name]
    if len(operation.stages) == 1:
        return [stage_operations(window, operation.last, name)]
    return [video_operations(window, name, operation.stages, operation.last)]


def _table(columns: Columns | dict[str, tuple]) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    kinds = {**dict.fromkeys(("success", "reused"), bool), **dict.fromkeys(TEXTS, object)}
    typed = {name: np.array(values, dtype=kinds.get(name, float)) for name, values in columns.items()}
    return pd.DataFrame(typed, copy=False)
