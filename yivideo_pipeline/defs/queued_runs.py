"""Runs that wait are decoded once, though Dagster's daemon reads all of them at each of its looks.

Dagster 1.13 decodes a run from its JSON, 0.2 ms, each second in which a place is free: with a queue of 5,000
runs a core. A run's content is never changed: another content is another row of JSON.

Test: tests/defs/test_queued_runs.py. When it breaks: remove `RememberedRuns` from the two storages.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._serdes import deserialize_value

if TYPE_CHECKING:
    from dagster._core.storage.runs import SqlRunStorage as _RunStorage
else:
    _RunStorage = object

REMEMBERED = 10_000
"""Runs of 20 videos: a backfill of 200,000."""


class RememberedRuns(_RunStorage):  # before Dagster's class, whose method it replaces
    """A storage of runs that decodes each run that waits once."""

    def _row_to_run(self, row: Mapping[str, Any]) -> dg.DagsterRun:
        if row["status"] == dg.DagsterRunStatus.QUEUED.value:
            return _decode_queued(row["run_body"])
        return super()._row_to_run(row)  # ty: ignore[invalid-argument-type]


@lru_cache(REMEMBERED)
def _decode_queued(body: str) -> dg.DagsterRun:
    # The status of the row counts: that of the body may be an older one.
    return deserialize_value(body, dg.DagsterRun).with_status(dg.DagsterRunStatus.QUEUED)
