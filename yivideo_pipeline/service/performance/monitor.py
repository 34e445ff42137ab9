"""Performance in one hand: the history, the live counters, the alerts, and the look around every minute."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.service_samples import MachineSample, RequestSample
from yivideo_pipeline.machine.host import read_process_memory_bytes
from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.metrics import Counters
from yivideo_pipeline.service.performance.alerts import MACHINE_MINUTES, AlertBook, find
from yivideo_pipeline.service.performance.history import History
from yivideo_pipeline.service.performance.operations import Window
from yivideo_pipeline.service.performance.summary import within
from yivideo_pipeline.service.performance.system import MB, read_gpu, read_memory, read_runs
from yivideo_pipeline.service.request_outcome import RequestOutcome
from yivideo_pipeline.settings.sections import AlertSettings

log = logging.getLogger(__name__)

LOOK_S = 60.0
FIRST_LOOK_S = 5.0
"""After the start: then there are requests to be answered first."""


class Performance:
    """What the service knows of how work goes.

    Args:
        home: The home folder.
        settings: Returns the alert settings as they are now.
        admission: Counts the requests in the service.
        ledger: Opens the home's ledger, or returns the open one.
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
        # One thread of its own: neither may it wait for requests in the server's pool, nor they for it.
        self._thread = ThreadPoolExecutor(1, "performance")

    def record(self, operation: str, outcome: RequestOutcome, is_answered: bool, wall_s: float) -> None:
        """Keep what a recognition over HTTP cost; returns at once."""
        at = time.time()
        self._thread.submit(self._keep, operation, outcome, is_answered, wall_s, at).add_done_callback(_tell)

    def look(self) -> None:
        """Take a sample of the machine, and start and end alerts."""
        now, settings, ledger = time.time(), self._settings(), self._ledger()
        gpu, runs, memory = read_gpu(), read_runs(self.history.instance()), read_memory()
        ledger.machine.add(
            MachineSample(
                at=now,
                memory_pct=memory.used_pct,
                rss_mb=memory.service_mb,
                cpu_pct=psutil.cpu_percent(),  # since the last look
                gpu_memory_pct=gpu.memory_used_pct if gpu else None,
                gpu_utilization_pct=gpu.utilization_pct if gpu else None,
                queued=runs.queued if runs else None,
                running=runs.running if runs else None,
                places_taken=self._admission.taken,
            )
        )
        window = Window(now - 3600 * settings.hours, now + 1)
        with self.history.tables(-1) as tables:
            works = within(tables.operations(None), window)
            machine = ledger.machine.since(now - 60 * MACHINE_MINUTES)
            self.alerts.update(find(works, machine, settings))

    async def watch(self) -> None:
        """Look around every minute until it is cancelled; what fails is logged, and tried again."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(FIRST_LOOK_S)
        while True:
            try:
                await loop.run_in_executor(self._thread, self.look)
            except Exception:  # the disk is full, or Dagster writes for long: the next look may succeed
                log.exception("could not look at the performance; tried again in %d s", LOOK_S)
            await asyncio.sleep(LOOK_S)

    def close(self) -> None:
        """Write what is to be kept, and close all."""
        self.history.end_reading()
        self._thread.shutdown()
        self.history.close()

    def _keep(self, operation: str, outcome: RequestOutcome, is_answered: bool, wall_s: float, at: float) -> None:
        gpu = read_gpu()
        self._ledger().requests.add(
            RequestSample(
                operation,
                at,
                is_answered and outcome.kind is None,
                wall_s,
                outcome.audio_s,
                round(read_process_memory_bytes() / MB, 1),
                gpu.service_memory_mb or gpu.memory_used_mb if gpu else None,
                outcome.kind,
                outcome.message,
                outcome.hint,
            )
        )


def _tell(done) -> None:  # noqa: ANN001 - a future
    if error := done.exception():
        log.error("a sample of a request was not kept", exc_info=error)
