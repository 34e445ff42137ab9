"""Requests that share one model: shared batches, fair turns, isolated failures."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest

from yivideo_pipeline.errors.tree import SystemFault
from yivideo_pipeline.speech.batching import Batcher, in_background, one_by_one
from yivideo_pipeline.speech.runtime import DeviceConfig, ModelRuntime, smaller_config

ONE_WORKER = DeviceConfig("cpu", "int8", batch_size=4, threads=1)
PATIENCE_S = 20


@dataclass(frozen=True)
class Echo:
    """A batch function, equal for equal languages, that records its groups."""

    language: str
    groups: list[list[str]] = field(compare=False, default_factory=list)
    gate: threading.Event = field(compare=False, default_factory=threading.Event)
    began: threading.Event = field(compare=False, default_factory=threading.Event)

    def __call__(self, model: object, items: list[str]) -> list[str]:
        self.groups.append(items)
        self.began.set()
        assert self.gate.wait(PATIENCE_S)
        if "broken" in items:
            raise RuntimeError("this sound breaks it")
        return [item.upper() for item in items]


def batcher(config: DeviceConfig = ONE_WORKER) -> Batcher:
    return Batcher(ModelRuntime(config, lambda _: object(), smaller_config))


def requests(shared: Batcher, first: Echo, *later: Callable[[], object]) -> list:
    """Start requests one after the other while the first group of the first one is held at its gate."""
    with ThreadPoolExecutor(len(later) + 1) as pool:
        futures = [pool.submit(shared.map, ["first"], first)]
        assert first.began.wait(PATIENCE_S)
        for count, request in enumerate(later, 2):
            futures.append(pool.submit(request))
            wait_until(lambda count=count: len(shared._queue) == count)
        first.gate.set()
        return [future.exception(PATIENCE_S) or future.result() for future in futures]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_short_requests_share_a_batch():
    shared, work = batcher(), Echo("en")
    found = requests(shared, work, *[lambda i=i: shared.map([f"sound {i}"], work) for i in range(4)])
    assert found[1:] == [[f"SOUND {i}"] for i in range(4)]
    assert work.groups[1] == [f"sound {i}" for i in range(4)]
    assert len(work.groups) == 2


def test_the_items_of_a_stream_are_done_one_by_one_and_share_batches_with_others():
    def stream() -> list[str]:
        with one_by_one():
            return shared.map(["a", "b", "c"], work)

    shared, work = batcher(), Echo("en")
    found = requests(shared, work, stream, lambda: shared.map(["x", "y", "z"], work))
    assert found[1:] == [["A", "B", "C"], ["X", "Y", "Z"]]
    assert work.groups[1:] == [["a", "x", "y", "z"], ["b"], ["c"]]


def test_workers_share_what_would_fit_into_one_batch():
    shared, work = batcher(DeviceConfig("cpu", "int8", batch_size=8, threads=2)), Echo("en")
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(shared.map, ["a", "b", "c", "d"], work)
        wait_until(lambda: len(work.groups) == 2)
        work.gate.set()
        assert found.result(PATIENCE_S) == ["A", "B", "C", "D"]
    assert work.groups[0] == ["a", "b"]


def test_requests_with_different_functions_share_no_batch():
    shared, english = batcher(), Echo("en")
    chinese = Echo("zh", gate=english.gate)
    found = requests(shared, english, lambda: shared.map(["a"], english), lambda: shared.map(["b"], chinese))
    assert found[1:] == [["A"], ["B"]]
    assert (english.groups, chinese.groups) == ([["first"], ["a"]], [["b"]])


def test_a_long_request_does_not_keep_a_short_one_waiting():
    shared, work = batcher(), Echo("en")
    long = [f"long {i}" for i in range(40)]
    requests(shared, work, lambda: shared.map(long, work), lambda: shared.map(["short"], work))
    assert "short" in work.groups[1]
    assert sum(map(len, work.groups)) == 42


def test_the_background_comes_after_all_others():
    shared, work = batcher(DeviceConfig("cpu", "int8", 1, 1)), Echo("en")

    def later() -> list[str]:
        with in_background():
            return shared.map(["backfill 1", "backfill 2"], work)

    requests(shared, work, later, lambda: shared.map(["user 1", "user 2"], work))
    assert [item for group in work.groups for item in group] == [
        "first", "user 1", "user 2", "backfill 1", "backfill 2",
    ]  # fmt: skip


def test_one_that_breaks_the_batch_fails_alone():
    shared, work = batcher(), Echo("en")
    found = requests(
        shared, work, *[lambda name=name: shared.map([name], work) for name in ("a", "broken", "b")]
    )
    assert found[1] == ["A"]
    assert isinstance(found[2], SystemFault)
    assert "this sound breaks it" in str(found[2])
    assert found[3] == ["B"]


def test_a_request_that_is_given_up_leaves_the_queue():
    shared, permits, groups = batcher(DeviceConfig("cpu", "int8", 1, 1)), threading.Semaphore(1), []

    class GivenUpError(Exception):
        pass

    def work(model: object, items: list[str]) -> list[str]:
        groups.append(items)
        assert permits.acquire(timeout=PATIENCE_S)
        return items

    def leave(items, results) -> None:
        permits.release()
        raise GivenUpError

    with pytest.raises(GivenUpError):
        shared.map([f"sound {i}" for i in range(50)], work, leave)
    assert not shared._queue
    assert len(groups) <= 3
    permits.release()
    assert shared.map(["next"], work) == ["next"]


def test_a_waiting_request_gets_heartbeats(monkeypatch):
    monkeypatch.setattr("yivideo_pipeline.speech.batching.HEARTBEAT_S", 0.01)
    shared, work, reported = batcher(), Echo("en"), []

    def listen(items, results) -> None:
        reported.append((list(items), list(results)))
        if len(reported) == 3:
            work.gate.set()

    assert shared.map(["sound"], work, listen) == ["SOUND"]
    assert reported[:3] == [([], [])] * 3
    assert reported[-1] == (["sound"], ["SOUND"])


@pytest.mark.parametrize("background", [False, True])
def test_no_thread_outlives_the_work(background):
    shared, work = batcher(DeviceConfig("cpu", "int8", 4, 4)), Echo("en")
    work.gate.set()
    with in_background() if background else nullcontext():
        assert shared.map(list("abcdefgh"), work) == list("ABCDEFGH")
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "speech"])
