"""Dagster's instance: where runs and materializations are remembered."""

import os
import socket
from importlib.resources import files
from pathlib import Path

import dagster as dg
import psutil
from dagster._core.instance.ref import InstanceRef

WORKER_TAG = ".dagster/yivideo-worker"
"""Host, process id and start time of the process that runs a run of the command line.

Dagster's own prefix for tags that its UI does not list: it is of no use to a reader.
"""


# Keeping a step's output means two more processes a step, which also get the terminal's Ctrl-C.
_OWN_TERMINAL = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}


def open_instance(home: Path) -> dg.DagsterInstance:
    """Open the persistent instance under the home folder, made on first use.

    The webserver and daemon of `yivideo up` use the same one, so that what ran here is seen there.
    What steps print in this process goes to its own terminal, as the progress bars must.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        config.write_bytes(files("yivideo_pipeline.defs").joinpath("dagster.yaml").read_bytes())
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=_OWN_TERMINAL))


def worker_of_this_process() -> str:
    """Name this process so that another one can tell whether it still lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def close_abandoned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report as failed the runs whose process on this machine is gone; returns their ids.

    A killed process can't say goodbye: its run would look alive for ever, and keep its place in the pool.
    """
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    closed = []
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        # A run that was launched again has its parent's tags, but a worker of its own.
        if run.parent_run_id is None and _is_gone(run.tags.get(WORKER_TAG, "")):
            instance.report_run_failed(run, "The process that ran it is gone")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            closed.append(run.run_id)
    return closed


def _is_gone(worker: str) -> bool:
    host, _, process = worker.partition(":")
    if not process or host != socket.gethostname():
        return False
    pid, _, started = process.partition(":")
    try:
        # The same number may belong to another process by now.
        return f"{psutil.Process(int(pid)).create_time():.2f}" != started
    except psutil.NoSuchProcess:
        return True
