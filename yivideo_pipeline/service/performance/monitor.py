"""The monitor of the performance: the history, the counters, the alerts, and a check every minute."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import SystemFault
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.backlog import Backlog, read_backlog
from yivideo_pipeline.ledger.operation_queries import Window
from yivideo_pipeline.ledger.samples import MachineSample, RequestSample
from yivideo_pipeline.machine.host import read_process_memory_bytes
from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.errors import RequestOutcome
from yivideo_pipeline.service.metrics import Counters
from yivideo_pipeline.service.performance.alerts import MACHINE_MINUTES, AlertBook, check_thresholds
from yivideo_pipeline.service.performance.history import History
from yivideo_pipeline.service.performance.system import MB, count_runs, read_gpu, read_memory
from yivideo_pipeline.settings.sections import AlertSettings

log = logging.getLogger(__name__)

CHECK_EVERY_S = 60.0
FIRST_CHECK_AFTER_S = 5.0
"""The first requests after the start come before the first check."""


class PerformanceMonitor:
    """What the service knows about the performance of the pipeline and its own.

    Args:
        home: The home folder.
        settings: Returns the alert settings as they are now.
        admission: Counts the requests in the service.
        ledger: Opens the home's ledger, or returns the open one.

    Attributes:
        backlog: What is waiting or at work, as the last check has counted it; None before the first.
    """

    def __init__(
        self,
        home: Path,
        settings: Callable[[], AlertSettings],
        admission: Admission,
        ledger: Callable[[], Ledger],
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._ledger = ledger
        self.counters = Counters()
        self.history = History(home, ledger, self.counters.count_stages)
        self.alerts = AlertBook(ledger)
        self.backlog: Backlog | None = None
        # A thread of its own, so that checks and the requests in the server's pool never wait for each other.
        self._thread = ThreadPoolExecutor(1, "performance")

    def record(self, operation: str, outcome: RequestOutcome, is_answered: bool, wall_s: float) -> None:
        """Store a sample of a request for recognition; returns at once."""
        stored = self._thread.submit(self._store, operation, outcome, is_answered, wall_s, time.time())
        stored.add_done_callback(_log_unstored)

    def check(self) -> None:
        """Take a sample of the machine, count the backlog, and start and end alerts."""
        now, settings, ledger = time.time(), self._settings(), self._ledger()
        gpu, runs, memory = read_gpu(), count_runs(self.history.instance()), read_memory()
        ledger.machine.add(
            MachineSample(
                at=now,
                memory_pct=memory.used_pct,
                rss_mb=memory.service_mb,
                cpu_pct=psutil.cpu_percent(),  # since the last check
                gpu_memory_pct=gpu.memory_used_pct if gpu else None,
                gpu_utilization_pct=gpu.utilization_pct if gpu else None,
                queued=runs.queued if runs else None,
                running=runs.running if runs else None,
                places_taken=self._admission.taken,
            )
        )
        self.backlog = read_backlog(ledger.engine)
        window = Window(now - 3600 * settings.hours, now + 1)
        with self.history.tables(-1) as tables:
            operations = tables.operations(None, window)
            machine = ledger.machine.since(now - 60 * MACHINE_MINUTES)
            self.alerts.update(check_thresholds(operations, machine, settings))

    async def watch(self) -> None:
        """Check every minute until cancelled; a check that fails is logged."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(FIRST_CHECK_AFTER_S)
        while True:
            try:
                await loop.run_in_executor(self._thread, self.check)
            except Exception as error:  # noqa: BLE001 - a full disk, a locked database: the next may succeed
                _log_error(f"The performance check failed; the next one is in {CHECK_EVERY_S:.0f} s", error)
            await asyncio.sleep(CHECK_EVERY_S)

    def close(self) -> None:
        """Store the samples that are left, and close everything."""
        self.history.end_reading()
        self._thread.shutdown()
        self.history.close()

    def _store(
        self, operation: str, outcome: RequestOutcome, is_answered: bool, wall_s: float, at: float
    ) -> None:
        cost = outcome.cost
        memory_mb = cost.rss_peak_mb if cost else read_process_memory_bytes() / MB
        self._ledger().requests.add(
            RequestSample(
                operation,
                at,
                is_answered and outcome.kind is None,
                wall_s,
                outcome.audio_s,
                round(memory_mb, 1),
                cost.gpu_memory_peak_mb if cost else None,
                outcome.kind,
                outcome.message,
                outcome.hint,
                cost.cpu_s if cost else None,
            )
        )


def _log_unstored(stored: Future[None]) -> None:
    if error := stored.exception():
        _log_error("A sample of a request was not stored", error)


def _log_error(what: str, error: BaseException) -> None:
    known = classify(error)
    log.error("%s: %s", what, known, exc_info=error if type(known) is SystemFault else None)
