"""Programs that run beside each other: started, restarted, and ended with all processes that they started."""

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
from yivideo_pipeline.plurals import plural

LAST_LINES = 8
RESTART_DELAYS_S = (1.0, 5.0, 25.0, 60.0)
STEADY_S = 300.0
"""A program that ran for so long has all its restarts again."""
_GENTLE = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0))
"""Signals that ask a program to end, and how long it may take to do so."""
_KILL_TIMEOUT_S = 5.0
_POLL_S = 0.1
_AT_ONCE = threading.Event()
_AT_ONCE.set()

Clock = Callable[[], float]


class SupervisedProgram:
    """A program in a session of its own, whose output goes to a log file.

    In its own session a terminal's Ctrl-C does not reach it, and it can be signalled together with all
    processes that it started.

    Args:
        name: Its name in messages and that of its log.
        command: The program and its arguments.
        environment: All of its environment variables.
        logs: Folder of its log.

    Raises:
        DiskError: The log can't be written.
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
        self._reader = threading.Thread(target=self._log_output, name=f"log-{name}", daemon=True)
        self._reader.start()

    @property
    def exit_code(self) -> int | None:
        """The program's exit code; None while it runs."""
        return self._process.poll()

    def processes(self) -> list[psutil.Process]:
        """Return the program and all that it started, as far as they still run."""
        self._process.poll()  # else an ended program would be listed until it is polled
        return [process for process in psutil.process_iter() if _runs_in_session(process, self._process.pid)]

    def last_lines(self) -> list[str]:
        """Return the last lines of its output; call it after the program has ended."""
        self._reader.join(timeout=1.0)
        return list(self._last)

    def send(self, number: signal.Signals) -> None:
        """Signal the program and all that it started."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):  # it ended by itself in between
                process.send_signal(number)

    def close(self) -> None:
        """Close the output and the log of a program that has ended."""
        self._process.poll()  # takes its exit status, which the kernel keeps until somebody does
        self._reader.join(timeout=1.0)
        # A process that the kernel can't end holds the pipe: closing it here would block for ever.
        if self._process.stdout and not self._reader.is_alive():
            self._process.stdout.close()
        self._handler.close()

    def _log_output(self) -> None:
        for line in self._process.stdout or ():
            text = redact(Text.from_ansi(line.rstrip("\n")).plain)
            self._last.append(text)
            self._handler.handle(logging.makeLogRecord({"msg": text}))


class Supervisor:
    """Restarts one program when it ends by itself, a few times, since the others can go on without it.

    Args:
        start: Starts the program.
        without: What is so while the program is gone: the end of a sentence.
        report: Called with one line for the user whenever it ends.
        clock: Seconds from any start, never going back.
        ready: Whether it may be restarted now: what it needs at its start is there.
        delays_s: Delay before each restart, other than `RESTART_DELAYS_S`; after the last one the program is
            given up.
    """

    def __init__(
        self,
        start: Callable[[], SupervisedProgram],
        without: str,
        report: Callable[[str], object],
        clock: Clock = time.monotonic,
        ready: Callable[[], bool] = lambda: True,
        delays_s: Sequence[float] = (),
    ) -> None:
        self._start = start
        self._without = without
        self._report = report
        self._clock = clock
        self._ready = ready
        self._delays_s = delays_s or RESTART_DELAYS_S
        self._failures = 0
        self._restart_at: float | None = None
        self.program = start()
        self._started = clock()

    @property
    def is_running(self) -> bool:
        """Whether the program runs now."""
        return self.program.exit_code is None

    @property
    def has_given_up(self) -> bool:
        """Whether it ended so often that it is not restarted any more."""
        return self._failures > len(self._delays_s)

    def check(self) -> None:
        """Restart the program if it has ended and its delay is over; to be called again and again."""
        if self.is_running or self.has_given_up:
            return
        if self._restart_at is None:
            self._plan_restart()
        elif self._clock() >= self._restart_at and self._ready():
            self._restart_at = None
            # What it started would work beside what the next one starts.
            stop_programs([self.program], _AT_ONCE)
            self.program = self._start()
            self._started = self._clock()

    def _plan_restart(self) -> None:
        if self._clock() - self._started >= STEADY_S:
            self._failures = 0
        self._failures += 1
        ended = f"The {self.program.name} ended with exit code {self.program.exit_code}"
        if self.has_given_up:
            self._report(
                f"{ended}, {plural(self._failures, 'time')} now: it is not restarted, so {self._without}."
            )
            return
        delay_s = self._delays_s[self._failures - 1]
        self._restart_at = self._clock() + delay_s
        self._report(f"{ended}; it restarts in {delay_s:.0f} s. Until then {self._without}.")


def stop_programs(programs: Sequence[SupervisedProgram], hurry: threading.Event) -> list[SupervisedProgram]:
    """End programs and all that they started; those that ignore gentle signals are killed.

    Args:
        programs: What to end.
        hurry: Once it is set, what still runs is killed at once.

    Returns:
        Those that had to be killed.
    """

    def are_gone() -> bool:
        return not any(program.processes() for program in programs)

    for number, timeout_s in _GENTLE:
        if not hurry.is_set():
            _send(programs, number)
            wait_until(lambda: hurry.is_set() or are_gone(), timeout_s)
    killed = _send(programs, signal.SIGKILL)
    wait_until(are_gone, _KILL_TIMEOUT_S)
    for program in programs:
        program.close()
    return killed


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until a condition holds, or time is up; returns whether it holds."""
    deadline = time.monotonic() + timeout_s
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return holds


def _send(programs: Sequence[SupervisedProgram], number: signal.Signals) -> list[SupervisedProgram]:
    """Signal the programs that still run; returns them."""
    running = [program for program in programs if program.processes()]
    for program in running:
        program.send(number)
    return running


def _runs_in_session(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
