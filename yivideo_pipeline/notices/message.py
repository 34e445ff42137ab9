"""The texts of notices about failed runs and quarantined videos."""

import hashlib
import shlex
from collections.abc import Iterable, Sequence

from yivideo_pipeline.errors.tree import (
    ConfigError,
    ConfigValidationError,
    DeviceLost,
    DiskError,
    MemoryExhausted,
    ModelLoadError,
    ServiceUnreachable,
    Severity,
)
from yivideo_pipeline.ledger.failures import Quarantined, StageFailure
from yivideo_pipeline.ledger.outbox import Notice

SUBJECT_CHARS = 200
LISTED = 20
"""A notice names at most so many videos; the run's page has all."""

_NOT_THE_VIDEO = (
    ConfigError, ConfigValidationError, DeviceLost, DiskError, MemoryExhausted, ModelLoadError,
    ServiceUnreachable,
)  # fmt: skip
NOT_THE_VIDEO = frozenset(error.kind for error in _NOT_THE_VIDEO)
"""Kinds of errors that hit one video after the other: they are all the same problem."""


def failed_run_notice(run_id: str, failures: Sequence[StageFailure], ui_url: str) -> Notice:
    """Return the notice of a failed run.

    A fault of the machine is the same problem whichever video it hits: a full disk is reported once, not for
    each of a thousand videos.

    Args:
        run_id: The run, for the link.
        failures: What failed in it; at least one.
        ui_url: Address of Dagster's UI.
    """
    first = failures[0]
    where = f"{first.key} failed at {first.stage}" if first.stage else f"{first.key} failed"
    return Notice(
        "run_failure",
        f"{where}: {first.message}"[:SUBJECT_CHARS]
        if len(failures) == 1
        else f"{len(failures)} videos failed in a run",
        tuple(_list_failures(failures)),
        _fingerprint("run_failure", {_problem(failed) for failed in failures}),
        Severity.HIGH,
        _page_of(run_id, ui_url),
    )


def quarantine_notice(entries: Sequence[Quarantined], ui_url: str) -> Notice:
    """Return the notice of quarantined videos; at least one."""
    first = entries[0]
    one = len(entries) == 1
    release = f"yivideo quarantine release {shlex.quote(first.key)}" if one else "yivideo quarantine"
    advice = f"They are not processed again until their files change or you release them: `{release}`"
    return Notice(
        "quarantine",
        f"{first.key} was quarantined: {first.failure.message}"[:SUBJECT_CHARS]
        if one
        else f"{len(entries)} videos quarantined",
        (*_list_failures([entry.failure for entry in entries]), "", advice),
        _fingerprint("quarantine", {f"{entry.key} {entry.since}" for entry in entries}),
        Severity.MEDIUM,
        _page_of(first.failure.run_id, ui_url) if one else ui_url,
    )


def _list_failures(failures: Sequence[StageFailure]) -> Iterable[str]:
    for failed in failures[:LISTED]:
        attempts = f", {failed.attempts} attempts" if failed.attempts > 1 else ""
        yield f"{failed.key}"
        yield f"  {failed.stage or 'run'}: {failed.kind}{attempts}"
        yield from (f"  {line}" for line in (failed.message, failed.hint) if line)
    if len(failures) > LISTED:
        yield f"and {len(failures) - LISTED} more"


def _problem(failed: StageFailure) -> str:
    key = "" if failed.kind in NOT_THE_VIDEO else failed.key
    return f"{failed.kind} {failed.stage} {key}"


def _fingerprint(kind: str, problems: set[str]) -> str:
    return f"{kind}:{hashlib.sha256(chr(10).join(sorted(problems)).encode()).hexdigest()[:32]}"


def _page_of(run_id: str, ui_url: str) -> str:
    return f"{ui_url.rstrip('/')}/runs/{run_id}"
