"""Dagster's instance as a reader opens it, and what it says of the queue and the daemon."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

LATE_S = 120
"""A part of the daemon that has not been heard of for so long is not at work: it beats every 30 s."""

_WORKING = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


@dataclass(frozen=True)
class RunQueue:
    """Runs that wait, and runs that are starting or at work."""

    queued: int
    running: int


@dataclass(frozen=True)
class Heartbeat:
    """One part of Dagster's daemon; `errors` are the first lines of its latest errors."""

    daemon: str
    age_s: float
    healthy: bool
    errors: tuple[str, ...]


def find_instance(home: Path) -> dg.DagsterInstance | None:
    """Open the instance that DAGSTER_HOME names, else the home folder's; None where there is none yet.

    A reader makes no instance: with which settings it is made is the pipeline's business.
    """
    folder = Path(os.environ.get("DAGSTER_HOME") or home / "dagster").absolute()
    if not (folder / "dagster.yaml").is_file():
        return None
    return dg.DagsterInstance.from_config(str(folder))


def read_queue(instance: dg.DagsterInstance) -> RunQueue:
    """Return how many runs wait and how many are under way."""
    return RunQueue(
        queued=instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])),
        running=instance.get_runs_count(dg.RunsFilter(statuses=_WORKING)),
    )


def read_heartbeats(instance: dg.DagsterInstance) -> list[Heartbeat]:
    """Return the last sign of life of each part of the daemon; none where it never ran."""
    now = time.time()
    beats = []
    required = set(instance.get_required_daemon_types())  # others may have run once, with other settings
    for name, beat in sorted(instance.get_daemon_heartbeats().items()):
        if name not in required:
            continue
        age_s = max(0.0, now - beat.timestamp)
        errors = tuple(error.message.strip().split("\n")[0] for error in beat.errors or ())
        beats.append(Heartbeat(name, round(age_s, 1), age_s < LATE_S and not errors, errors))
    return beats
