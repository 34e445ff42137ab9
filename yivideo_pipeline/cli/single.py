"""One `yivideo up` runs for a home folder and for a database: two daemons would do everything twice."""

import os
import signal
import socket
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout
from rich.console import Console

from yivideo_pipeline.cli.console import WrongUsage, show_path
from yivideo_pipeline.cli.running_ui import RunningUi, last_ui, note_ui
from yivideo_pipeline.cli.signals import StopRequest
from yivideo_pipeline.ledger.alive import BEAT_S, GONE_AFTER_S
from yivideo_pipeline.ledger.leases import LeaseLedger

MARK = "_YIVIDEO_UP"
"""Environment variable of all processes that `yivideo up` starts: the home folder that they serve."""
_TIMEOUT_S = 5.0


@contextmanager
def single_for_home(home: Path, url: str, service_url: str) -> Generator[None]:
    """Lock the home folder for this program; the kernel releases it however the program ends.

    Args:
        home: The home folder.
        url: Address of the UI; another `yivideo up` on this home reports it.
        service_url: Address of the service.

    Raises:
        WrongUsage: Another program holds the lock.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WrongUsage(
            f"yivideo up already runs for {show_path(home)}: {_describe(last_ui(home))}",
            "Stop it first, or give this one another home: YIVIDEO_HOME",
        ) from error
    with lock:
        note_ui(home, url, service_url)
        yield


@contextmanager
def single_for_database(
    leases: LeaseLedger, name: str, stop: StopRequest, console: Console
) -> Generator[None]:
    """Hold the lease of the daemon; wait as long as it takes to see that a host that held it is gone.

    Args:
        leases: Of the database.
        name: Host, port and name of the database.
        stop: Ends the wait.
        console: Where users read what is waited for.

    Raises:
        WrongUsage: Another host holds the lease, or the user stopped the wait.
    """
    deadline = time.monotonic() + GONE_AFTER_S + BEAT_S
    told: set[str] = set()

    def on_wait(holder: str) -> None:
        host = holder.partition(":")[0]
        if stop.received or host == socket.gethostname() or time.monotonic() > deadline:
            raise WrongUsage(
                f"yivideo up already runs for the database {name}, on {host}",
                "Stop it first; a database has one, and other hosts take part by `yivideo process`",
            )
        if holder not in told:
            console.print(f"Waiting to see whether yivideo up on {host} is gone, up to {GONE_AFTER_S:.0f} s")
            told.add(holder)

    with leases.hold("up", on_wait):
        yield


def _describe(running: RunningUi | None) -> str:
    return f"{running['url']} (process {running['pid']})" if running else "it is just starting"


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
