import os
import signal
import sys
import threading

import psutil
import pytest

from yivideo_pipeline.cli import supervisor as services
from yivideo_pipeline.cli.supervisor import Service, stop, wait_until

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
    """Start a service and wait until it says `up`."""
    begun = []

    def begin(name, code):
        service = Service(name, [sys.executable, "-c", code], os.environ, tmp_path)
        begun.append(service)
        assert wait_until(lambda: service.log.read_text().startswith("up\n"), 30)
        return service

    yield begin
    for service in begun:
        service.send(signal.SIGKILL)
        service.close()


def test_all_end_by_the_first_gentle_signal(begin):
    gentle = [begin("one", GENTLE), begin("two", GENTLE)]
    assert stop(gentle, threading.Event()) == []
    assert [service.processes() for service in gentle] == [[], []]


def test_a_deaf_one_and_what_it_started_are_killed(begin, monkeypatch):
    monkeypatch.setattr(services, "_GENTLE", ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3)))
    gentle, stubborn = begin("gentle", GENTLE), begin("stubborn", STUBBORN)
    everything = stubborn.processes()
    assert len(everything) == 2
    assert stop([gentle, stubborn], threading.Event()) == [stubborn]
    assert psutil.wait_procs(everything, timeout=10)[1] == []


def test_who_is_in_a_hurry_does_not_wait(begin):
    hurry = threading.Event()
    hurry.set()
    stubborn = begin("stubborn", STUBBORN)
    assert stop([stubborn], hurry) == [stubborn]
    assert stubborn.processes() == []


def test_what_an_ended_program_left_behind_is_ended_too(begin):
    service = begin("orphaning", ORPHANING)
    assert wait_until(lambda: service.exit_code == 0, 30)
    assert len(service.processes()) == 1
    stop([service], threading.Event())
    assert service.processes() == []


def test_output_is_kept_without_colours_and_secrets(begin, tmp_path):
    token = "hf_" + "abcDEF123" * 3
    service = begin("talking", f"print('up', flush=True); print('\\x1b[31mred {token}\\x1b[0m')")
    assert wait_until(lambda: service.exit_code is not None, 30)
    assert service.last_lines() == ["up", "red hf_***"]
    assert (tmp_path / "talking.log").read_text() == "up\nred hf_***\n"
