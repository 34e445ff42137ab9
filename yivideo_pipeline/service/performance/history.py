"""The history in memory: read once, then only what is new, by one thread at a time."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.samples import KEPT, Columns, RequestSample
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.performance.operations import (
    OPERATIONS,
    REQUESTS,
    request_operations,
    stage_operations,
    video_operations,
)

if TYPE_CHECKING:
    import dagster as dg
    import pandas as pd

PATIENCE_S = 10.0
"""How long a request waits for its turn: a long history takes seconds to be read for the first time."""
OnNew = Callable[["pd.DataFrame"], None]
"""Called with samples that were read for the first time, as `history.tables.frame_of` makes them."""


class _Closed(Exception):
    """The service ends: an import that takes minutes begins anew at its next start."""


@dataclass
class Tables:
    """What was read: samples of stages, the oldest first, and requests; operations are made of them once."""

    samples: "pd.DataFrame"
    requests: "pd.DataFrame"
    _made: "dict[str | None, pd.DataFrame]" = field(default_factory=dict)

    def operations(self, name: str | None) -> "pd.DataFrame":
        """Return the operations of a name; None: whole videos and requests together."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str | None) -> "pd.DataFrame":
        import pandas as pd

        if name is None:
            parts = [self.operations("process_video"), request_operations(self.requests)]
            filled = [part for part in parts if len(part)] or parts[:1]
            return pd.concat(filled, ignore_index=True)
        if name in REQUESTS.values():
            return request_operations(self.requests[self.requests["operation"] == name])
        operation = OPERATIONS[name]
        if len(operation.stages) == 1:
            chosen = self.samples[self.samples["stage"] == operation.last]
            return stage_operations(chosen).assign(operation=name)
        return video_operations(self.samples, name, operation)


class History:
    """Keeps the tables up to date with the ledger.

    Args:
        home: The home folder.
        ledger: Opens its ledger, or returns the open one.
        on_new: Called with each sample once.
    """

    def __init__(self, home: Path, ledger: Callable[[], Ledger], on_new: OnNew) -> None:
        self._home = home
        self._ledger = ledger
        self._on_new = on_new
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._closed = threading.Event()
        self._instance: dg.DagsterInstance | None = None
        self._tables: Tables | None = None
        self._last_sample = 0
        self._last_request = 0

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
            yield self._refresh()
        finally:
            self._lock.release()

    def refresh_unless_busy(self) -> None:
        """Read what is new, unless another thread does so now."""
        if self._lock.acquire(blocking=False):
            try:
                self._refresh()
            finally:
                self._lock.release()

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
            self._tables = None
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

    def _refresh(self) -> Tables:
        ledger, instance = self._ledger(), self.instance()
        if instance:
            from yivideo_pipeline.history.import_events import import_events
            from yivideo_pipeline.history.lost_work import record_lost_work

            import_events(instance, ledger, self._require_open)
            record_lost_work(ledger, instance)
        else:
            ledger.workers.bury_dead()
        self._tables = self._read(self._tables)
        return self._tables

    def _read(self, known: Tables | None) -> Tables:
        ledger = self._ledger()
        new = ledger.samples.added(self._last_sample if known else 0)
        if known and self._last_sample:
            if not new["id"] or new["id"][0] != self._last_sample:  # another process has cleared the ledger
                known = None
                new = ledger.samples.added()
            else:
                new = {name: values[1:] for name, values in new.items()}
        requests = ledger.requests.added(self._last_request if known else 0)
        if known and not new["id"] and not requests:
            return known
        return Tables(self._with_samples(known, new), self._with_requests(known, requests))

    def _with_samples(self, known: Tables | None, new: Columns) -> "pd.DataFrame":
        import pandas as pd

        from yivideo_pipeline.history.tables import frame_of

        if known and not new["id"]:
            return known.samples
        seen = self._last_sample
        fresh = frame_of(new)
        if new["id"]:
            self._last_sample = new["id"][-1]
            self._on_new(fresh[fresh["id"] > seen])
        parts = [known.samples, fresh] if known else [fresh]
        samples = pd.concat([part for part in parts if len(part)] or [fresh], ignore_index=True)
        return samples.sort_values("at", kind="stable", ignore_index=True)

    def _with_requests(self, known: Tables | None, new: Sequence[RequestSample]) -> "pd.DataFrame":
        import pandas as pd

        if known and not new:
            return known.requests
        fresh = pd.DataFrame({name: [getattr(one, name) for one in new] for name in _REQUEST_TYPES})
        fresh = fresh.astype(_REQUEST_TYPES)
        if new:
            self._last_request = new[-1].id
        parts = [known.requests, fresh] if known else [fresh]
        table = pd.concat([part for part in parts if len(part)] or [fresh], ignore_index=True)
        return table.tail(KEPT).reset_index(drop=True)


_REQUEST_TYPES = {
    **dict.fromkeys(("operation", "kind", "message", "hint"), object),
    **dict.fromkeys(("at", "wall_s", "cpu_s", "duration_s", "rss_peak_mb", "gpu_memory_peak_mb"), float),
    "success": bool,
}
