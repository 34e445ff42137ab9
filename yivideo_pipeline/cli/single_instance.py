"""A single `yivideo up` per home folder: two daemons on one Dagster instance would do everything twice."""

import json
import os
import signal
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from yivideo_pipeline.cli.console import WrongUsage, show_path

MARK = "_YIVIDEO_UP"
"""Environment variable of all processes that `yivideo up` starts: the home folder that they serve."""
_TIMEOUT_S = 5.0


@contextmanager
def single_instance(home: Path, url: str) -> Generator[None]:
    """Lock the home folder for this program; the kernel releases it however the program ends.

    Args:
        home: The home folder.
        url: Address of the UI; another `yivideo up` on this home reports it.

    Raises:
        WrongUsage: Another program holds the lock.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "up.json"
    lock = FileLock(folder / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WrongUsage(
            f"yivideo up already runs for {show_path(home)}: {_describe(holder)}",
            "Stop it first, or give this one another home: YIVIDEO_HOME",
        ) from error
    with lock:
        holder.write_text(json.dumps({"pid": os.getpid(), "url": url}), encoding="utf-8")
        yield


def end_leftovers(home: Path) -> int:
    """End what a killed `yivideo up` of this home left running; returns the number of processes.

    To be called while the home is locked: then no other process that carries the mark can be at work.
    """
    left = [process for process in psutil.process_iter() if _serves(process, home)]
    _signal(left, signal.SIGTERM)
    _signal(psutil.wait_procs(left, timeout=_TIMEOUT_S)[1], signal.SIGKILL)
    psutil.wait_procs(left, timeout=_TIMEOUT_S)
    return len(left)


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it ended by itself in between
            process.send_signal(number)


def _serves(process: psutil.Process, home: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == str(home)
    except (psutil.Error, OSError):
        return False  # it ended meanwhile, or belongs to another user


def _describe(holder: Path) -> str:
    try:
        running = json.loads(holder.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return "it is just starting"
    return f"{running['url']} (process {running['pid']})"
