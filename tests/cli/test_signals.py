import os
import signal
import subprocess
import sys
import threading

import pytest

from yivideo_pipeline.cli.signals import StopRequest


def test_ctrl_c_is_noticed_even_where_its_handler_swallows_it():
    noticed = threading.Event()
    stop = StopRequest(on_first=noticed.set)
    with stop.listening(interrupt=True):
        signal.signal(signal.SIGINT, lambda number, frame: None)  # as Dagster does for a moment
        assert not stop.received
        os.kill(os.getpid(), signal.SIGINT)
        assert noticed.wait(10)
        assert stop.received


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_interrupts_python_code(number):
    with StopRequest().listening(interrupt=True), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        threading.Event().wait(10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_without_an_interrupt_the_program_goes_on_and_can_wait_for_the_request(number):
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    with StopRequest().listening(signals) as stop:
        assert not stop.wait(0)
        os.kill(os.getpid(), number)
        assert stop.wait(10)


def test_what_follows_the_first_request_may_hurry_the_end_instead():
    hurry = threading.Event()
    with StopRequest(on_repeat=hurry.set).listening() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(10)
        assert not hurry.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert hurry.wait(10)


def test_handlers_are_as_before_afterwards():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Dagster sets one where it runs in this process
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopRequest().listening(interrupt=True):
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_the_second_ctrl_c_ends_a_program_that_is_deaf():
    code = """
import os, signal, time
from yivideo_pipeline.cli.signals import StopRequest
with StopRequest(on_first=lambda: os.kill(os.getpid(), signal.SIGINT)).listening(interrupt=True):
    signal.signal(signal.SIGINT, lambda number, frame: None)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 130
