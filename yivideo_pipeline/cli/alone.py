"""One `yivideo up` for a home folder: two daemons on one instance would do everything twice."""

import json
import os
import signal
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from yivideo_pipeline.cli.console import show_path
from yivideo_pipeline.cli.exits import WrongUsage

MARK = "_YIVIDEO_UP"
"""Environment variable of all that `yivideo up` starts: the home folder that they serve."""
_PATIENCE_S = 5.0


@contextmanager
def only_one(home: Path, url: str) -> Generator[None]:
    """Hold the home folder for this program; the kernel gives it back however the program ends.

    Args:
        home: The home folder.
        url: Where the UI will answer; another `yivideo up` on this home tells it.

    Raises:
        WrongUsage: another one has it.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    holder = folder / "up.json"
    lock = FileLock(folder / "up.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WrongUsage(
            f"yivideo up runs already for {show_path(home)}: {_tell(holder)}",
            "Stop that one first, or give this one a home of its own: YIVIDEO_HOME",
        ) from error
    with lock:
        holder.write_text(json.dumps({"pid": os.getpid(), "url": url}), encoding="utf-8")
        yield


def end_left_over(home: Path) -> int:
    """End what a killed `yivideo up` of this home left running; returns how many processes.

    Call it with the home held: then nothing else that carries the mark can be at work.
    """
    left = [process for process in psutil.process_iter() if _serves(process, home)]
    _signal(left, signal.SIGTERM)
    _signal(psutil.wait_procs(left, timeout=_PATIENCE_S)[1], signal.SIGKILL)
    psutil.wait_procs(left, timeout=_PATIENCE_S)
    return len(left)


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it ended by itself in between
            process.send_signal(number)


def _serves(process: psutil.Process, home: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == str(home)
    except (psutil.Error, OSError):
        return False  # it ended meanwhile, or is somebody else's


def _tell(holder: Path) -> str:
    try:
        told = json.loads(holder.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return "it is just starting"
    return f"{told['url']} (process {told['pid']})"
