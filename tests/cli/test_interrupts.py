import os
import signal
import subprocess
import sys
import threading

import pytest

from yivideo_pipeline.cli.signals import Interrupts


def test_ctrl_c_is_heard_even_where_somebody_swallows_it():
    interrupts, told = Interrupts(), threading.Event()
    with interrupts.heard(lambda time: told.set()):
        signal.signal(signal.SIGINT, lambda number, frame: None)  # as Dagster does for a moment
        assert not interrupts.asked
        os.kill(os.getpid(), signal.SIGINT)
        assert told.wait(10)
        assert interrupts.asked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_interrupts_python_code(number):
    with Interrupts().heard(lambda time: None), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
        threading.Event().wait(10)


def test_handlers_are_as_before_afterwards():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Dagster sets one where it runs in this process
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts().heard(lambda time: None):
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_the_second_ctrl_c_ends_a_program_that_is_deaf():
    code = """
import os, signal, time
from yivideo_pipeline.cli.signals import Interrupts
with Interrupts().heard(lambda time: os.kill(os.getpid(), signal.SIGINT)):
    signal.signal(signal.SIGINT, lambda number, frame: None)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 130
