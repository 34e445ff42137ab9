"""Dagster's instance: where runs and materializations are remembered."""

import re
import socket
from importlib.resources import files
from pathlib import Path

import dagster as dg

from yivideo_pipeline.defs.dagster_internals import has_code_server, open_folder
from yivideo_pipeline.ledger.workers import is_gone
from yivideo_pipeline.stages import GPU_POOL
from yivideo_pipeline.storage.scratch import scratch_folder

WORKER_TAG = ".dagster/yivideo-worker"
"""Host, process id and start time of the process that runs a run.

Dagster's own prefix for tags that its UI does not list: it is of no use to a reader.
"""

SERVED = 64
"""Steps that may ask a service for its model at the same time: it has places and a line of its own."""

_UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_GONE = "The process that ran it is gone: it was killed, or the machine went down"


def open_instance(home: Path) -> dg.DagsterInstance:
    """Open the persistent instance under the home folder, made on first use.

    The webserver and daemon of `yivideo up` use the same one, so that what ran here is seen there.
    What steps print in this process goes to its own terminal, as the progress bars must.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        with scratch_folder(home / "tmp") as work:
            (work / config.name).write_bytes(_defaults())
            (work / config.name).replace(config)  # several programs may start at once: nobody reads half
    return open_folder(folder)


def has_older_defaults(home: Path) -> bool:
    """Tell whether the instance's configuration was written by a version with other defaults."""
    written = (home / "dagster" / "dagster.yaml").read_bytes()
    return _edition(written) < _edition(_defaults())


def limit_models(instance: dg.DagsterInstance, slots: int, *, raise_only: bool = False) -> None:
    """Let so many steps use a model at the same time, over all runs.

    The settings decide, at each start anew: what was set in the UI holds until then. It can't stand in
    dagster.yaml, which is a person's file once it is written, and of which the settings know nothing.

    Args:
        instance: Whose pool it is.
        slots: How many; `SERVED` where a service has the model, whose requests share batches.
        raise_only: Leave it where more are allowed: `yivideo up` may be running with a service.
    """
    now = instance.event_log_storage.get_concurrency_info(GPU_POOL).slot_count
    if now < slots or (now > slots and not raise_only):
        instance.event_log_storage.set_concurrency_slots(GPU_POOL, slots)


def close_abandoned_runs(instance: dg.DagsterInstance, *, alone: bool = False) -> list[str]:
    """End the runs whose process is gone: a killed one can't say goodbye, and would keep its turn.

    Failed for this reason they are retried by Dagster, as far as their tags allow; one that somebody
    was about to cancel is cancelled. What waits in the queue goes on by itself.

    Args:
        instance: Where the runs are recorded.
        alone: No code server works on this instance, so that what one had launched is gone too. Without
            it those are left to their code server.

    Returns:
        The ids of the runs.
    """
    closed = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        if _is_abandoned(run, alone):
            if run.status == dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, _GONE)
            else:
                instance.report_run_failed(run, _GONE)
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed.append(run.run_id)
    return closed


def _is_abandoned(run: dg.DagsterRun, alone: bool) -> bool:
    # A code server is named in this tag of each run that it launched, soon after the start is asked for;
    # for a moment a retry also has the worker of its parent, since it has its parent's tags.
    launched = has_code_server(run) or run.status == dg.DagsterRunStatus.STARTING
    if launched and not alone:
        return False
    worker = run.tags.get(WORKER_TAG, "")
    # Of another machine's process nothing can be said; a container has another name at each start.
    is_ours = worker.startswith(f"{socket.gethostname()}:")
    return is_gone(worker) if is_ours else launched


def _defaults() -> bytes:
    return files("yivideo_pipeline.defs").joinpath("dagster.yaml").read_bytes()


def _edition(config: bytes) -> int:
    found = re.search(rb"^#.* Edition (\d+)\.$", config, re.MULTILINE)
    # A file without one is the first edition, or a person's own.
    return int(found.group(1)) if found else 1
