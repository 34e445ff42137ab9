"""Leases between threads, processes and hosts, on both databases."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from tests.waiting import wait_for
from yivideo_pipeline.ledger import alive, leases, open_ledger
from yivideo_pipeline.ledger.alive import GONE_AFTER_S, LifeSign
from yivideo_pipeline.ledger.database import upsert
from yivideo_pipeline.ledger.leases import Lease
from yivideo_pipeline.ledger.samples import RunOrigin

HOLD = """
import sys, time
from pathlib import Path
from pydantic import SecretStr
from yivideo_pipeline.ledger import open_ledger

if sys.argv[2]:
    import socket
    socket.gethostname = lambda: sys.argv[2]
ledger = open_ledger(Path(sys.argv[1]), SecretStr(sys.argv[3]) if sys.argv[3] else None)
with ledger.leases.hold("a"):
    print("held", flush=True)
    sys.stdin.read()
"""


class Impatient(Exception):
    pass


def raise_impatient(_holder):
    raise Impatient


def is_held(ledger) -> bool:
    try:
        with ledger.leases.hold("a", raise_impatient):
            return False
    except Impatient:
        return True


@pytest.fixture
def hold_elsewhere(home, database):
    """Let another process hold the lease, as on a host of the given name; returns the process."""
    started = []

    def hold(host: str = "") -> subprocess.Popen:
        url = database.get_secret_value() if database else ""
        command = [sys.executable, "-c", HOLD, str(home), host, url]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_one_thread_at_a_time_holds_a_lease_and_others_are_free(ledger, monkeypatch):
    monkeypatch.setattr(leases, "POLL_S", 0.01)
    inside, most = [], []

    def work(_number):
        with ledger.leases.hold("a"), ledger.leases.hold(f"own of {threading.get_ident()}"):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(12)))
    assert most == [1] * 12
    assert not is_held(ledger)


def test_another_process_s_lease_is_waited_for_and_ends_with_it_however_it_ends(ledger, hold_elsewhere):
    other = hold_elsewhere()
    assert is_held(ledger)
    other.communicate()
    assert other.returncode == 0
    assert not is_held(ledger), "given back"
    other = hold_elsewhere()
    assert is_held(ledger)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert not is_held(ledger), "taken from the dead"


def test_a_lease_of_another_host_stands_as_long_as_that_gives_signs_of_life(ledger, hold_elsewhere):
    other = hold_elsewhere("another-host")
    assert is_held(ledger)
    other.kill()
    other.wait()
    assert is_held(ledger), "it may live: nobody here can tell"
    with ledger.engine.begin() as connection:
        long_ago = LifeSign.at - GONE_AFTER_S
        connection.execute(
            update(LifeSign).where(LifeSign.worker.startswith("another-host:")).values(at=long_ago)
        )
    assert not is_held(ledger)


def test_a_lease_that_could_not_be_given_back_does_not_stop_its_own_process(ledger):
    worker = leases.worker_of_this_process()
    with ledger.engine.begin() as connection:
        upsert(connection, [Lease("a", worker, "of a failed attempt")])
    assert not is_held(ledger)


def test_a_worker_of_a_host_that_fell_silent_died_at_its_video(ledger):
    ledger.workers.begin("mine.mp4", "transcript", RunOrigin("run1", "root1"))
    others = type(ledger.workers)(ledger.engine)
    others._worker = "another-host:1:1.00"
    others.begin("a.mp4", "transcript", RunOrigin("run2", "root2"))
    assert ledger.workers.at_work("a.mp4").run_id == "run2", "nothing is known of it"
    with ledger.engine.begin() as connection:
        upsert(connection, [LifeSign(others._worker, 0.0)])
    assert ledger.workers.is_gone(others._worker)
    assert ledger.workers.at_work("a.mp4") is None
    assert ledger.workers.deaths() == {"a.mp4": 1}


def test_a_process_gives_signs_of_life_from_its_first_work_on(home, monkeypatch):
    monkeypatch.setattr(alive, "BEAT_S", 0.05)
    ledger = open_ledger(home)

    def last_sign() -> float:
        with ledger.engine.connect() as connection:
            return connection.execute(select(LifeSign.at)).scalar_one()

    ledger.workers.begin("a.mp4", "audio", RunOrigin("run1", "root1"))
    first = last_sign()
    wait_for(lambda: last_sign() > first, poll_s=0.02)
