"""Alerts: figures beyond the settings' thresholds, each told once when it starts and once when it ends."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.flags import Flag
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.ledger.service_samples import MachineSample
from yivideo_pipeline.service.performance.operations import iso
from yivideo_pipeline.service.performance.summary import error_rates, seconds_of
from yivideo_pipeline.settings.sections import AlertSettings

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

AlertName = Literal["p99", "success", "errors", "gpu", "memory"]
ALERTS: tuple[AlertName, ...] = ("p99", "success", "errors", "gpu", "memory")
MACHINE_MINUTES = 5
"""Memory and GPU are judged by the mean of so many minutes: a moment's peak is no alert."""

TOLD_ONCE_S = 86_400.0

_MARK = "alert:"
_ADVICE: dict[AlertName, str] = {
    "p99": "See GET /api/v1/performance/insights: what is slow, and what would help",
    "success": "See GET /api/v1/performance/insights: what fails most, and what to do about it",
    "errors": "See GET /api/v1/performance/insights: what fails most, and what to do about it",
    "gpu": "Lower speech.batch_size, take compute_type int8 or a smaller model, or unload the model",
    "memory": "Lower speech.batch_size, take a smaller model, or unload it: POST /api/v1/model/unload",
}


class Finding(BaseModel):
    """A figure that is beyond its threshold."""

    name: AlertName
    message: str
    value: float
    threshold: float


class Alert(Finding):
    """A finding that stands since a time."""

    since: str = Field(description="When it started")
    advice: str


def find(works: "pd.DataFrame", machine: Sequence[MachineSample], settings: AlertSettings) -> list[Finding]:
    """Hold the figures against the thresholds.

    Args:
        works: The operations of the last hours.
        machine: The machine in the last minutes.
        settings: The thresholds.
    """
    found = _of_works(works, settings) if len(works) >= settings.min_operations else []
    gpu = [one.gpu_memory_pct for one in machine if one.gpu_memory_pct is not None]
    memory = [one.memory_pct for one in machine]
    for name, values, limit, what in (
        ("gpu", gpu, settings.gpu_pct, "GPU memory"),
        ("memory", memory, settings.memory_pct, "Memory"),
    ):
        mean = sum(values) / len(values) if values else 0.0
        if mean > limit:
            text = f"{what} is used to {mean:.1f}%, over {limit:g}%"
            found.append(Finding(name=name, message=text, value=round(mean, 2), threshold=limit))
    return found


def _of_works(works: "pd.DataFrame", settings: AlertSettings) -> list[Finding]:
    found, hours = [], f"in the last {settings.hours:g} h"
    p99_s = seconds_of(works["duration_s"]).p99
    if p99_s is not None and p99_s > settings.p99_s:
        text = f"1% of the operations {hours} took over {p99_s:.0f} s; {settings.p99_s:g} s is the limit"
        found.append(Finding(name="p99", message=text, value=p99_s, threshold=settings.p99_s))
    success_pct = 100 * float(works["success"].mean())
    if success_pct < settings.success_pct:
        text = (
            f"{success_pct:.1f}% of {len(works)} operations {hours} succeeded; {settings.success_pct:g}%"
            " is the least"
        )
        found.append(
            Finding(name="success", message=text, value=round(success_pct, 2), threshold=settings.success_pct)
        )
    for kind, share in list(error_rates(works).items())[:1]:
        if 100 * share > settings.error_pct:
            text = (
                f"{100 * share:.1f}% of {len(works)} operations {hours} failed with {kind};"
                f" {settings.error_pct:g}% is the most"
            )
            found.append(
                Finding(
                    name="errors", message=text, value=round(100 * share, 2), threshold=settings.error_pct
                )
            )
    return found


class AlertBook:
    """Which alerts stand; the ledger keeps them over a restart.

    Args:
        ledger: Opens the home's ledger, or returns the open one.
    """

    def __init__(self, ledger: Callable[[], Ledger]) -> None:
        self._ledger = ledger

    def standing(self) -> list[Alert]:
        """Return the alerts that stand now."""
        marks = [self._ledger().flags.get(_MARK + name) for name in ALERTS]
        return [_alert(mark) for mark in marks if mark]

    def update(self, findings: Sequence[Finding]) -> None:
        """Start the alerts that are new and end those that are over; each is logged and told once."""
        found = {finding.name: finding for finding in findings}
        for name in ALERTS:
            mark = self._ledger().flags.get(_MARK + name)
            if name in found and mark is None:
                self._start(found[name])
            elif name not in found and mark is not None:
                self._end(_alert(mark), mark.since)

    def _start(self, finding: Finding) -> None:
        mark = self._ledger().flags.set(_MARK + finding.name, finding.model_dump_json())
        log.warning("alert %s: %s", finding.name, finding.message)
        self._tell(finding.name, f"Alert: {finding.message}", (_ADVICE[finding.name],), mark.since)

    def _end(self, alert: Alert, since: float) -> None:
        if not self._ledger().flags.clear(_MARK + alert.name):
            return
        log.info("alert %s is over: %s", alert.name, alert.message)
        said = (f"It started at {alert.since}: {alert.message}",)
        self._tell(alert.name, f"Alert over: {alert.name}", said, since, Severity.LOW, "end")

    def _tell(
        self,
        name: AlertName,
        subject: str,
        body: tuple[str, ...],
        since: float,
        severity: Severity = Severity.HIGH,
        what: str = "start",
    ) -> None:
        # The time is part of the fingerprint: the next alert of this name is other news.
        notice = Notice("alert", subject, body, f"alert {name} {since} {what}", severity, at=time.time())
        self._ledger().outbox.post(notice, TOLD_ONCE_S)


def _alert(mark: Flag) -> Alert:
    finding = Finding.model_validate(json.loads(mark.value))
    return Alert(**finding.model_dump(), since=iso(mark.since), advice=_ADVICE[finding.name])
