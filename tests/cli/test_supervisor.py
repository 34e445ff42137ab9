import os
import signal
import sys
import threading

import psutil
import pytest

from yivideo_pipeline.cli import supervisor
from yivideo_pipeline.cli.supervisor import (
    RESTART_DELAYS_S,
    STEADY_S,
    SupervisedProgram,
    Supervisor,
    stop_programs,
    wait_until,
)

GENTLE = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = """
import signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("up", flush=True)
time.sleep(600)
"""
ORPHANING = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("up", flush=True)
"""


@pytest.fixture
def begin(tmp_path):
    """Start a program and wait until it prints `up`."""
    begun = []

    def begin(name, code):
        program = SupervisedProgram(name, [sys.executable, "-c", code], os.environ, tmp_path)
        begun.append(program)
        assert wait_until(lambda: program.log.read_text().startswith("up\n"), 30)
        return program

    yield begin
    for program in begun:
        program.send(signal.SIGKILL)
        program.close()


def test_all_end_by_the_first_gentle_signal(begin):
    gentle = [begin("one", GENTLE), begin("two", GENTLE)]
    assert stop_programs(gentle, threading.Event()) == []
    assert [program.processes() for program in gentle] == [[], []]


def test_a_program_that_ignores_signals_is_killed_with_what_it_started(begin, monkeypatch):
    monkeypatch.setattr(supervisor, "_GENTLE", ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3)))
    gentle, stubborn = begin("gentle", GENTLE), begin("stubborn", STUBBORN)
    everything = stubborn.processes()
    assert len(everything) == 2
    assert stop_programs([gentle, stubborn], threading.Event()) == [stubborn]
    assert psutil.wait_procs(everything, timeout=10)[1] == []


def test_in_a_hurry_nothing_is_waited_for(begin):
    hurry = threading.Event()
    hurry.set()
    stubborn = begin("stubborn", STUBBORN)
    assert stop_programs([stubborn], hurry) == [stubborn]
    assert stubborn.processes() == []


def test_what_an_ended_program_left_behind_is_ended_too(begin):
    program = begin("orphaning", ORPHANING)
    assert wait_until(lambda: program.exit_code == 0, 30)
    assert len(program.processes()) == 1
    stop_programs([program], threading.Event())
    assert program.processes() == []


def test_output_is_kept_without_colours_and_secrets(begin, tmp_path):
    token = "hf_" + "abcDEF123" * 3
    program = begin("talking", f"print('up', flush=True); print('\\x1b[31mred {token}\\x1b[0m')")
    assert wait_until(lambda: program.exit_code is not None, 30)
    assert program.last_lines() == ["up", "red hf_***"]
    assert (tmp_path / "talking.log").read_text() == "up\nred hf_***\n"


class Trial:
    """A supervisor of a program that ends at once, the lines that it reported, its clock."""

    def __init__(self, logs):
        self.now = 0.0
        self.reported = []
        self.started = []
        self._logs = logs
        self.ready = True
        self.supervisor = Supervisor(
            self._start, "nobody serves", self.reported.append, lambda: self.now, lambda: self.ready
        )

    def _start(self):
        program = SupervisedProgram(
            "service", [sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ), self._logs
        )
        self.started.append(program)
        return program

    def let_end(self):
        """Wait for the program's end, and let the supervisor see it."""
        assert wait_until(lambda: not self.supervisor.is_running, 30)
        self.supervisor.check()


@pytest.fixture
def trial(tmp_path):
    trial = Trial(tmp_path)
    yield trial
    for program in trial.started:
        wait_until(lambda program=program: program.exit_code is not None, 30)
        program.close()


def test_it_is_restarted_after_growing_delays_and_given_up_in_the_end(trial):
    for number, delay_s in enumerate(RESTART_DELAYS_S, 1):
        trial.let_end()
        assert trial.reported[-1].startswith(
            f"The service ended with exit code 3; it restarts in {delay_s:.0f} s. Until then nobody serves."
        )
        trial.now += delay_s - 0.5
        trial.supervisor.check()
        assert len(trial.started) == number
        trial.now += 0.5
        trial.supervisor.check()
        assert len(trial.started) == number + 1
    trial.let_end()
    assert "5 times now: it is not restarted, so nobody serves." in trial.reported[-1]
    trial.now += 10_000
    trial.supervisor.check()
    assert len(trial.started) == len(trial.reported) == 5


def test_it_is_restarted_only_once_what_it_needs_is_there(trial):
    trial.ready = False
    trial.let_end()
    trial.now += RESTART_DELAYS_S[0] + 10
    trial.supervisor.check()
    assert len(trial.started) == 1
    trial.ready = True
    trial.supervisor.check()
    assert len(trial.started) == 2


def test_before_a_restart_what_the_killed_program_left_running_is_ended(begin):
    clock, reported = [0.0], []
    supervisor = Supervisor(lambda: begin("parent", ORPHANING), "", reported.append, lambda: clock[0])
    assert wait_until(lambda: not supervisor.is_running, 30)
    first = supervisor.program
    (orphan,) = first.processes()
    supervisor.check()
    clock[0] += RESTART_DELAYS_S[0]
    supervisor.check()
    assert not psutil.pid_exists(orphan.pid) or orphan.status() == psutil.STATUS_ZOMBIE
    assert supervisor.program is not first
    assert wait_until(lambda: not supervisor.is_running, 30)


def test_a_program_that_ran_long_has_all_its_restarts_again(trial):
    for delay_s in RESTART_DELAYS_S[:2]:
        trial.let_end()
        trial.now += delay_s
        trial.supervisor.check()
    trial.now += STEADY_S
    trial.let_end()
    assert "it restarts in 1 s" in trial.reported[-1]
