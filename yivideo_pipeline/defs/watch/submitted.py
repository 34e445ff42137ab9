"""What a tick asked Dagster to run, and whether it came to that.

A sensor only asks: the runs are made when it has returned, and until then everything may die. So a tick
leaves what it asked for in its cursor, which Dagster keeps together with the requests, and the next tick
counts those files as taken whose run is really there. The others are asked for again; Dagster makes no
second run of the same run key.
"""

import json
from collections.abc import Iterable, Mapping

import dagster as dg

from yivideo_pipeline.ledger.files import Stamp
from yivideo_pipeline.library.outcome import Item

RUN_KEY_TAG = "dagster/run_key"


def write_cursor(items: Iterable[Item]) -> str:
    """Write down what is asked for: key, size and time of each file, by the run key of its request."""
    return json.dumps({item.run_key: [item.key, *item.stamp] for item in items})


def submitted(instance: dg.DagsterInstance, cursor: str | None) -> dict[str, Stamp]:
    """Return what of a cursor has a run that was started or waits for its turn: the state by key."""
    asked: Mapping[str, list] = json.loads(cursor or "{}")
    return {
        key: Stamp(size_bytes, mtime_ns)
        for run_key, (key, size_bytes, mtime_ns) in asked.items()
        if _has_run(instance, run_key)
    }


def _has_run(instance: dg.DagsterInstance, run_key: str) -> bool:
    # A run that was made but not handed over yet is handed over when it is asked for again.
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}))
    return any(run.status != dg.DagsterRunStatus.NOT_STARTED for run in runs)
