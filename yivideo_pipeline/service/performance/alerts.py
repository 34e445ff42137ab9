"""Alerts: figures beyond the thresholds of the settings, reported once when they start and when they end."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import BaseModel, Field

from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.flags import Flag
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.ledger.samples import MachineSample
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.service.performance.operations import is_unusable, iso
from yivideo_pipeline.service.performance.summary import error_rates, percentiles_of
from yivideo_pipeline.settings.sections import AlertSettings

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

AlertName = Literal["p99", "success", "errors", "gpu", "memory"]
ALERTS: tuple[AlertName, ...] = get_args(AlertName)
MACHINE_MINUTES = 5
"""Memory and GPU memory are judged by their mean over this time: a short peak is no alert."""
REPEAT_AFTER_S = 86_400.0

_FLAG = "alert:"
_ADVICE: dict[AlertName, str] = {
    "p99": "GET /api/v1/performance/insights shows what is slow, and what would help",
    "success": "GET /api/v1/performance/insights shows what fails most, and what to do about it",
    "errors": "GET /api/v1/performance/insights shows what fails most, and what to do about it",
    "gpu": "Lower speech.batch_size, use compute_type int8 or a smaller model, or unload the model",
    "memory": "Lower speech.batch_size, use a smaller model, or unload it: POST /api/v1/model/unload",
}


class Finding(BaseModel):
    """A figure that is beyond its threshold."""

    name: AlertName
    message: str
    value: float
    threshold: float


class Alert(Finding):
    """A finding that has lasted since a time."""

    since: str = Field(description="When it started")
    advice: str


def check_thresholds(
    operations: "pd.DataFrame", machine: Sequence[MachineSample], settings: AlertSettings
) -> list[Finding]:
    """Return the figures that are beyond their thresholds.

    Files that can't be used count for nothing here: no setting of ours would help.

    Args:
        operations: The operations of the last hours.
        machine: Samples of the machine in the last minutes.
        settings: The thresholds.
    """
    usable = operations[~is_unusable(operations)]
    found = _check_operations(usable, settings) if len(usable) >= settings.min_operations else []
    gpu = [one.gpu_memory_pct for one in machine if one.gpu_memory_pct is not None]
    memory = [one.memory_pct for one in machine]
    for name, values, limit, what in (
        ("gpu", gpu, settings.gpu_pct, "GPU memory"),
        ("memory", memory, settings.memory_pct, "Memory"),
    ):
        mean = sum(values) / len(values) if values else 0.0
        if mean > limit:
            text = f"{what} use is {mean:.1f}%, above the limit of {limit:g}%"
            found.append(Finding(name=name, message=text, value=round(mean, 2), threshold=limit))
    return found


class AlertBook:
    """The alerts that are active; the ledger keeps them over a restart.

    Args:
        ledger: Opens the home's ledger, or returns the open one.
    """

    def __init__(self, ledger: Callable[[], Ledger]) -> None:
        self._ledger = ledger

    def active(self) -> list[Alert]:
        """Return the alerts that are active now."""
        flags = [self._ledger().flags.get(_FLAG + name) for name in ALERTS]
        return [_alert_of(flag) for flag in flags if flag]

    def update(self, findings: Sequence[Finding]) -> None:
        """Start new alerts and end those that are over; both are logged and posted as a notice."""
        found = {finding.name: finding for finding in findings}
        for name in ALERTS:
            flag = self._ledger().flags.get(_FLAG + name)
            if name in found and flag is None:
                self._start(found[name])
            elif name not in found and flag is not None:
                self._end(_alert_of(flag), flag.since)

    def _start(self, finding: Finding) -> None:
        flag = self._ledger().flags.set(_FLAG + finding.name, finding.model_dump_json())
        log.warning("alert %s: %s", finding.name, finding.message)
        self._post(finding.name, f"Alert: {finding.message}", (_ADVICE[finding.name],), flag.since)

    def _end(self, alert: Alert, since: float) -> None:
        if not self._ledger().flags.clear(_FLAG + alert.name):
            return
        log.info("alert %s is over: %s", alert.name, alert.message)
        body = (f"It started at {alert.since}: {alert.message}",)
        self._post(alert.name, f"Alert over: {alert.name}", body, since, Severity.LOW, "end")

    def _post(
        self,
        name: AlertName,
        subject: str,
        body: tuple[str, ...],
        since: float,
        severity: Severity = Severity.HIGH,
        what: str = "start",
    ) -> None:
        # The time is part of the fingerprint: the next alert of this name is another notice.
        notice = Notice("alert", subject, body, f"alert {name} {since} {what}", severity, at=time.time())
        self._ledger().outbox.post(notice, REPEAT_AFTER_S)


def _check_operations(operations: "pd.DataFrame", settings: AlertSettings) -> list[Finding]:
    found, hours = [], f"in the last {settings.hours:g} h"
    p99_s = percentiles_of(operations["duration_s"]).p99
    if p99_s is not None and p99_s > settings.p99_s:
        text = f"1% of the operations {hours} took more than {p99_s:.0f} s; the limit is {settings.p99_s:g} s"
        found.append(Finding(name="p99", message=text, value=p99_s, threshold=settings.p99_s))
    count, error_kind = len(operations), ""
    for kind, share in list(error_rates(operations).items())[:1]:
        error_pct = 100 * share
        if error_pct > settings.error_pct:
            error_kind = kind
            text = (
                f"{error_pct:.1f}% of {plural(count, 'operation')} {hours} failed with {kind};"
                f" the maximum is {settings.error_pct:g}%"
            )
            found.append(
                Finding(name="errors", message=text, value=round(error_pct, 2), threshold=settings.error_pct)
            )
    # What one kind of error explains is one alert.
    others = operations[operations["success"].astype(bool) | (operations["kind"] != error_kind)]
    success_pct = 100 * float(others["success"].mean()) if len(others) else 100.0
    least_pct = settings.success_pct
    if success_pct < least_pct:
        text = (
            f"{success_pct:.1f}% of {plural(len(others), 'operation')} {hours} succeeded"
            f"{f', without those that failed with {error_kind}' if error_kind else ''};"
            f" the minimum is {least_pct:g}%"
        )
        found.append(Finding(name="success", message=text, value=round(success_pct, 2), threshold=least_pct))
    return found


def _alert_of(flag: Flag) -> Alert:
    finding = Finding.model_validate(json.loads(flag.value))
    return Alert(**finding.model_dump(), since=iso(flag.since), advice=_ADVICE[finding.name])
