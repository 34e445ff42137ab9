"""Runs a whole program and measures its time and memory."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_INTERVAL_S = 0.2


@dataclass(frozen=True)
class Usage:
    """Time and memory of one run of a program; `cpu_s` and `peak_mb` include its child processes."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    exit_code: int


def measure(command: Sequence[str | Path], env: Mapping[str, str], log: Path) -> Usage:
    """Run a program to its end, with its output in a log file.

    The peak is the greater of two figures: the largest resident set of one process, as the kernel
    kept it, and the largest sum over the tree of processes, seen at intervals.
    """
    with log.open("wb") as output:
        begun = time.perf_counter()
        child = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        watch = TreeWatch(child.pid)
        watch.start()
        _, status, used = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - begun
    watch.stop()
    child.returncode = os.waitstatus_to_exitcode(status)  # reaped here, so that Popen need not
    return Usage(
        wall_s=wall_s,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_mb=max(used.ru_maxrss / 1024, watch.peak_bytes / 2**20),
        exit_code=child.returncode,
    )


class TreeWatch(threading.Thread):
    """Records the largest sum of resident memory of a process and its descendants at one time.

    Args:
        pid: The process.
        leave_out: One of the descendants that does not count.
    """

    def __init__(self, pid: int, leave_out: int | None = None) -> None:
        super().__init__(daemon=True)
        self._leave_out = leave_out
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_INTERVAL_S):
            try:
                tree = [self._process, *self._process.children(recursive=True)]
                self.peak_bytes = max(self.peak_bytes, sum(map(self._rss, tree)))
            except psutil.NoSuchProcess:  # one of them ended between listing and reading
                continue

    def _rss(self, process: psutil.Process) -> int:
        return 0 if process.pid == self._leave_out else process.memory_info().rss

    def stop(self) -> None:
        self._ended.set()
        self.join()
