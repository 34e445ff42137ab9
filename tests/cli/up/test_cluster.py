"""`yivideo cluster up`: replicas share the work, and no request is lost when one, or its node, is killed.

The replicas are real, on a real Ray; their engine sleeps where a GPU would compute. The tests use the one
cluster in their order.
"""

import os
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from benchmarks.replicas import BATCH, MODEL, WINDOW_S, SleepingCluster, run_cluster, write_silence
from tests.cli.command import SAMPLES
from tests.waiting import TIMEOUT_S, wait_for
from yivideo_pipeline.cli.single import MARK

WINDOWS = 6 * BATCH
MODELS = (MODEL, "base")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    home = tmp_path_factory.mktemp("cluster") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLEEPING_BATCH_S", "1")
        with run_cluster(home, nodes=1, min_replicas=2, max_replicas=2) as running:
            running.wait_for_line("Replicas: 2 of 2 running")
            running.wait_for_line("the service: http://")
            yield running


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_silence(tmp_path_factory.mktemp("sound") / "long.wav", WINDOWS * WINDOW_S)


def status(cluster: SleepingCluster) -> dict[str, Any]:
    return httpx.get(f"{cluster.url}/api/v1/cluster", timeout=TIMEOUT_S, trust_env=False).json()


def running(cluster: SleepingCluster) -> list[dict[str, Any]]:
    return [one for one in status(cluster)["replicas"] if one["state"] == "RUNNING"]


def wait_for_two(cluster: SleepingCluster, without: Iterable[int]) -> list[dict[str, Any]]:
    """Return the running replicas once there are two, and the killed ones are gone."""

    def found() -> list[dict[str, Any]] | None:
        replicas = running(cluster)
        gone = not {one["pid"] for one in replicas} & set(without)
        return replicas if len(replicas) == 2 and gone else None

    return wait_for(found)


def send(cluster: SleepingCluster, sound: Path, model: str = MODEL) -> Future[dict]:
    """Send a sound; returns its answer to come."""
    pool = ThreadPoolExecutor(1)
    answer = pool.submit(cluster.transcribe, sound, model)
    pool.shutdown(wait=False)
    return answer


def begin(cluster: SleepingCluster, sound: Path) -> tuple[Future[dict], dict[str, Any]]:
    """Send a long sound; returns its answer to come, and the replica that is in the middle of it."""
    answer = send(cluster, sound)
    (replica,) = wait_for(lambda: at_work(cluster, [answer]), poll_s=0.05)
    return answer, replica


def at_work(cluster: SleepingCluster, answers: list[Future[dict]]) -> list[dict[str, Any]] | None:
    """Return the replicas that are in the middle of a sound, once that are as many as sounds."""
    assert not any(answer.done() for answer in answers)
    busy = [one for one in running(cluster) for request in one["requests"] if 0 < request["fraction"] < 0.9]
    return busy if len(busy) == len(answers) else None


def computed(cluster: SleepingCluster) -> Counter[int]:
    """Return how many windows each replica has computed so far, by its process."""
    windows: Counter[int] = Counter()
    for pid, _, size in cluster.log("batch"):
        windows[int(pid)] += int(size)
    return windows


def assert_complete(answer: Future[dict], windows: int = WINDOWS) -> None:
    """Assert that the answer has each window once."""
    assert answer.result(TIMEOUT_S)["text"].split() == [f"w{number}" for number in range(windows)]


def kill_session(cluster: SleepingCluster, argument: str) -> set[int]:
    """Kill a program that the cluster has started, with all processes of its session; returns them."""
    (main,) = [
        one.pid
        for one in psutil.Process(cluster.program.pid).children()
        if {b"ray.scripts.scripts", argument.encode()} <= set(words_of(one.pid, "cmdline"))
    ]
    killed = {pid for pid in psutil.pids() if session_of(pid) == main}
    for pid in killed:
        with suppress(ProcessLookupError):  # some end by themselves as soon as another one is gone
            os.kill(pid, signal.SIGKILL)
    return killed


def test_replicas_share_the_work_and_each_has_loaded_one_model(cluster, tmp_path):
    """Also where requests come one by one, so that the first is over before the second one comes."""
    shutil.copy(SAMPLES / "harbour-15s.mp4", cluster.home / "inbox")
    sound = write_silence(tmp_path / "short.wav", 1.0)

    def share() -> bool:
        assert cluster.transcribe(sound)["text"].strip() == "w0"
        return all(one["done"] for one in running(cluster))

    wait_for(share, poll_s=0)
    loaded = sorted(int(pid) for pid, *_ in cluster.log("load"))
    assert loaded == sorted(one["pid"] for one in running(cluster))


def test_a_run_uses_them_as_any_service(cluster):
    wait_for((cluster.home / "inbox" / "harbour-15s.en.srt").exists)


def test_a_request_goes_on_when_its_replica_is_killed(cluster, sound):
    before, loads = computed(cluster), len(cluster.log("load"))
    answer, replica = begin(cluster, sound)
    os.kill(replica["pid"], signal.SIGKILL)
    assert_complete(answer)
    assert (computed(cluster) - before).total() <= WINDOWS + 2 * BATCH, "finished windows were computed again"
    wait_for_two(cluster, without=[replica["pid"]])
    assert f"Replica {replica['id']} crashed" in status(cluster)["events"][-1]["text"]
    assert len(cluster.log("load")) == loads + 1


def test_a_request_goes_on_when_a_node_is_killed(cluster, sound):
    answer, _ = begin(cluster, sound)
    killed = kill_session(cluster, "--address")
    assert_complete(answer)
    wait_for_two(cluster, without=killed)


def test_a_request_goes_on_when_the_head_is_killed(cluster, sound, capsys):
    """Also where its first restart fails, since another program has taken a port meanwhile."""
    answer, _ = begin(cluster, sound)
    killed, at = kill_session(cluster, "--head"), time.monotonic()
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in killed), poll_s=0.02)
    with socket.create_server(("127.0.0.1", cluster.dashboard_port)):
        cluster.wait_for_line("The ray-head ended with exit code 1; it restarts", anew=True)
    try:
        assert_complete(answer)
    except httpx.HTTPStatusError as error:
        error.add_note((cluster.home / "logs" / "ray-head.log").read_text()[-4000:])
        raise
    with capsys.disabled():
        print(f"\n{time.monotonic() - at:.0f} s from the end of the head to the end of the request")
    wait_for_two(cluster, without=killed)


def test_two_models_settle_side_by_side(cluster, tmp_path):
    """Each on a replica, to which further requests for it go: none is loaded any more."""
    sound = write_silence(tmp_path / "second.wav", 1.0)

    def settled() -> bool:
        before = len(cluster.log("load"))
        for model in MODELS:
            assert cluster.transcribe(sound, model)["text"].strip() == "w0"
        return len(cluster.log("load")) == before

    wait_for(settled)
    assert {model for *_, model in cluster.log("load")} == set(MODELS)


def test_replicas_that_are_removed_finish_their_requests(cluster, sound):
    """Both are at work, and one too many from then on: which one goes is up to Ray."""
    before = computed(cluster)
    answers = [send(cluster, sound, model) for model in MODELS]
    old = {one["pid"] for one in wait_for(lambda: at_work(cluster, answers), poll_s=0.05)}
    cluster.set_bounds(1, 1)
    for answer in answers:
        assert_complete(answer)
    assert computed(cluster) - before == dict.fromkeys(old, WINDOWS), "each has finished what it began"
    wait_for(lambda: len(running(cluster)) == 1)
    assert old - {one["pid"] for one in running(cluster)}


def test_down_stops_what_was_started_and_nothing_else(cluster):
    stopped = cluster.command("down")
    assert (stopped.returncode, stopped.stdout) == (0, "Stopped.\n"), stopped
    assert cluster.program.wait(1) == 0
    mark = f"{MARK}={cluster.home}".encode()
    assert not [pid for pid in psutil.pids() if mark in words_of(pid, "environ")]
    again = cluster.command("down")
    assert (again.returncode, again.stdout) == (0, "Nothing was running.\n"), again
    status = cluster.command("status")
    assert status.returncode == 1
    assert "does not answer" in status.stderr


def words_of(pid: int, file: str) -> list[bytes]:
    """Return the words of a process's `cmdline` or `environ`; none where they can't be read."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes().split(b"\0")
    except OSError:
        return []


def session_of(pid: int) -> int | None:
    """Return a process's session; None where it has ended."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
