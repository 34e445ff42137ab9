"""Programs that run beside each other and end together, with all processes that they started."""

import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout
from rich.text import Text

from yivideo_pipeline.cli.console import WrongUsage, rotating_handler, show_path
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


# PART cli/keeper.py: A service that is started again when it ends by itself, since the others can go on without it.

WAITS_S = (1.0, 5.0, 25.0, 60.0)
"""Before each further start; after the last the service is given up."""
STEADY_S = 300.0
"""Who has lived so long starts again after the first wait."""

Clock = Callable[[], float]


class Keeper:
    """Keeps one service running.

    Args:
        start: Starts it.
        say: Told one line for a person, whenever it ends.
        clock: Seconds from any start, never going back.
    """

    def __init__(
        self, start: Callable[[], Service], say: Callable[[str], object], clock: Clock = time.monotonic
    ) -> None:
        self._start = start
        self._say = say
        self._clock = clock
        self._failures = 0
        self._due: float | None = None
        self.service = start()
        self._started = clock()

    @property
    def runs(self) -> bool:
        """Whether it runs now."""
        return self.service.exit_code is None

    @property
    def has_given_up(self) -> bool:
        """Whether it ended so often that it is not started any more."""
        return self._failures > len(WAITS_S)

    def look(self) -> None:
        """Start it again if it has ended and its wait is over; call this again and again."""
        if self.runs or self.has_given_up:
            return
        if self._due is None:
            self._plan()
        elif self._clock() >= self._due:
            self._due = None
            self.service.close()
            self.service = self._start()
            self._started = self._clock()

    def _plan(self) -> None:
        if self._clock() - self._started >= STEADY_S:
            self._failures = 0
        self._failures += 1
        ended = f"The {self.service.name} ended with exit code {self.service.exit_code}"
        if self.has_given_up:
            self._say(f"{ended}, {self._failures} times now: it stays away. Runs load the model themselves.")
            return
        wait_s = WAITS_S[self._failures - 1]
        self._due = self._clock() + wait_s
        self._say(f"{ended}; it starts again in {wait_s:.0f} s. Until then runs load the model themselves.")


# PART cli/alone.py: One `yivideo up` for a home folder: two daemons on one instance would do everything twice.

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
