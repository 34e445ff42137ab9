"""Dagster's instance as a reader opens it, and what it says of the queue and the daemon."""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from yivideo_pipeline.errors.tree import DiskError
from yivideo_pipeline.machine.databases import find_damage

if TYPE_CHECKING:
    import dagster as dg

LATE_S = 120
"""A part of the daemon that has not been heard of for so long is not at work: it beats every 30 s."""

_PAUSED = "yivideo/queue_paused"
"""In Dagster's own table of small values, where its switch for automation is too."""
_DATABASES = {
    "history/runs.db": "the runs so far are no longer listed",
    "history/runs/index.db": "the materializations so far are no longer listed",
    "schedules/schedules.db": "sensors and schedules are on or off as at first",
}
"""The files of Dagster's own storage in an instance's folder, and what is lost with each."""


@dataclass(frozen=True)
class RunQueue:
    """Runs that wait, runs that are starting or at work, and those that failed within a day.

    `waiting_s` is how long the oldest of those that wait has done so; 0 where none waits.
    """

    queued: int
    running: int
    failed_today: int
    waiting_s: float
    is_paused: bool


@dataclass(frozen=True)
class Heartbeat:
    """One part of Dagster's daemon; `errors` are the first lines of its latest errors."""

    daemon: str
    age_s: float
    healthy: bool
    errors: tuple[str, ...]


def require_databases(folder: Path, *, everywhere: bool = False) -> None:
    """Check that the databases of an instance's folder, where there are any, are databases.

    Args:
        folder: The instance's.
        everywhere: Whether all of the files is read, and not only their beginnings.

    Raises:
        DiskError: one is damaged.
    """
    for name, loss in _DATABASES.items():
        if damage := find_damage(folder / name, everywhere=everywhere):
            raise DiskError(
                f"Dagster's database {folder / name} is damaged ({damage})",
                f"Move it away with its -wal and -shm files, and start again: {loss}; results and subtitles"
                " stay as they are",
            )


def find_instance(home: Path) -> "dg.DagsterInstance | None":
    """Open the instance that DAGSTER_HOME names, else the home folder's; None where there is none yet.

    A reader makes no instance: with which settings it is made is the pipeline's business.
    """
    folder = Path(os.environ.get("DAGSTER_HOME") or home / "dagster").absolute()
    if not (folder / "dagster.yaml").is_file():
        return None
    import dagster as dg  # half a second, which a service without Dagster need not spend

    return dg.DagsterInstance.from_config(str(folder))


def read_queue(instance: "dg.DagsterInstance") -> RunQueue:
    """Return how many runs wait, are under way and have failed lately."""
    from dagster import DagsterRunStatus, RunsFilter

    working = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    queued, now = RunsFilter(statuses=[DagsterRunStatus.QUEUED]), datetime.now(UTC)
    a_day = RunsFilter(statuses=[DagsterRunStatus.FAILURE], updated_after=now - timedelta(days=1))
    oldest = instance.get_run_records(queued, limit=1, ascending=True)
    return RunQueue(
        queued=instance.get_runs_count(queued),
        running=instance.get_runs_count(RunsFilter(statuses=working)),
        failed_today=instance.get_runs_count(a_day),
        waiting_s=max(0.0, (now - oldest[0].create_timestamp).total_seconds()) if oldest else 0.0,
        is_paused=is_paused(instance),
    )


def is_paused(instance: "dg.DagsterInstance") -> bool:
    """Return whether no waiting run may begin."""
    return instance.daemon_cursor_storage.get_cursor_values({_PAUSED}).get(_PAUSED) == "true"


def set_paused(instance: "dg.DagsterInstance", paused: bool) -> None:
    """Pause the queue, or let it go on; runs that have begun go on either way."""
    instance.daemon_cursor_storage.set_cursor_values({_PAUSED: "true" if paused else "false"})


def read_heartbeats(instance: "dg.DagsterInstance") -> list[Heartbeat]:
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
