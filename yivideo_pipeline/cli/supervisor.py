"""Programs that run beside each other and end together, with all processes that they started."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from rich.text import Text

from yivideo_pipeline.cli.logs import rotating_handler
from yivideo_pipeline.errors.redact import redact

LAST_LINES = 8
_GENTLE = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0))
"""Signals that ask a service to end, and how long it may take to do so."""
_KILL_PATIENCE_S = 5.0
_POLL_S = 0.1


class Service:
    """A program in a session of its own; what it prints goes to a log file.

    In its own session a terminal's Ctrl-C does not reach it, and all that it starts can be signalled
    together.

    Args:
        name: What it is called, in messages and as the log's name.
        command: The program.
        environment: All of its environment variables.
        logs: Folder of its log.

    Raises:
        DiskError: the log can't be written.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self._handler = rotating_handler(logs, self.log.name, "%(message)s")
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._keep_output, name=f"log-{name}", daemon=True)
        self._reader.start()

    @property
    def exit_code(self) -> int | None:
        """The program's exit code; None while it runs."""
        return self._process.poll()

    def processes(self) -> list[psutil.Process]:
        """Return the program and all that it started, as far as they still run."""
        self._process.poll()  # else an ended program would be listed until somebody asked about it
        return [process for process in psutil.process_iter() if _runs_in_session(process, self._process.pid)]

    def last_lines(self) -> list[str]:
        """Return the last lines of its output; call it when it has ended."""
        self._reader.join(timeout=1.0)
        return list(self._last)

    def send(self, number: signal.Signals) -> None:
        """Signal the program and all that it started."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):  # it ended by itself in between
                process.send_signal(number)

    def close(self) -> None:
        """Let go of the ended service: its output, its log."""
        self._reader.join(timeout=1.0)
        # What the kernel can't end would hold the pipe: then closing it here would wait for ever.
        if self._process.stdout and not self._reader.is_alive():
            self._process.stdout.close()
        self._handler.close()

    def _keep_output(self) -> None:
        for line in self._process.stdout or ():
            text = redact(Text.from_ansi(line.rstrip("\n")).plain)
            self._last.append(text)
            self._handler.handle(logging.makeLogRecord({"msg": text}))


def stop(services: Sequence[Service], hurry: threading.Event) -> list[Service]:
    """End services and all that they started, the hard way where the gentle one does not do.

    Args:
        services: What to end.
        hurry: Set when patience is at its end: what still runs is killed at once.

    Returns:
        Those that had to be killed.
    """

    def are_gone() -> bool:
        return not any(service.processes() for service in services)

    for number, patience_s in _GENTLE:
        if not hurry.is_set():
            _send(services, number)
            wait_until(lambda: hurry.is_set() or are_gone(), patience_s)
    killed = _send(services, signal.SIGKILL)
    wait_until(are_gone, _KILL_PATIENCE_S)
    for service in services:
        service.close()
    return killed


def _send(services: Sequence[Service], number: signal.Signals) -> list[Service]:
    """Signal the services that still run; returns them."""
    left = [service for service in services if service.processes()]
    for service in left:
        service.send(number)
    return left


def wait_until(is_so: Callable[[], bool], patience_s: float) -> bool:
    """Wait until something is so, or patience ends; returns whether it is."""
    deadline = time.monotonic() + patience_s
    while not (so := is_so()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return so


def _runs_in_session(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
