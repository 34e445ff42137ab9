"""Hosts that share one database and one bucket: what each survives, and what they do once."""

import multiprocessing
import time
from functools import cached_property
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select, update

from tests.defs.pipeline import SAMPLE
from tests.defs.worker_host import process_video
from tests.object_storage import Served
from tests.tcp_proxy import run_proxy
from tests.waiting import wait_for
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.alive import GONE_AFTER_S, LifeSign
from yivideo_pipeline.ledger.leases import Lease
from yivideo_pipeline.ledger.workers import AtWork

KEY = "cloud:talk.mp4"


class Host:
    """A process that takes itself for a host; forked from one that has imported all, to start fast."""

    def __init__(self, name: str, environment: dict[str, str]) -> None:
        forks = multiprocessing.get_context("forkserver")
        forks.set_forkserver_preload(["tests.defs.worker_host"])
        self._line, far_end = multiprocessing.Pipe()
        self.process = forks.Process(target=process_video, args=(name, KEY, environment, far_end))
        self.process.start()
        far_end.close()

    def wait_for_work(self) -> None:
        """Wait until it is in the middle of the transcript."""
        assert self._line.recv() == "working"

    def go_on(self) -> None:
        self._line.send("go on")

    def end(self) -> dict:
        """Wait for its end; returns what became of the video."""
        return self._line.recv()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self._line.close()


class Hosts:
    """Starts hosts, each with a home of its own; the bucket is reached through a proxy."""

    def __init__(self, folder, url, bucket, proxy) -> None:
        self._folder, self._url, self._bucket = folder, url, bucket
        self.proxy = proxy
        self.ledger = open_ledger(folder / "looker", url)
        self.started: list[Host] = []
        bucket.write("library/talk.mp4", SAMPLE.read_bytes())

    def start(self, name: str) -> Host:
        home = self._folder / name
        environment = {
            **self._bucket.storage.environment,
            "AWS_ENDPOINT_URL": self.proxy.url,
            "YIVIDEO_HOME": str(home),
            "YIVIDEO_STORAGE__DATABASE_URL": self._url.get_secret_value(),
            "YIVIDEO_STORAGE__ROOT": f"{self._bucket.url}/artifacts",
            "YIVIDEO_LIBRARY__ROOTS__INBOX": str(home / "inbox"),
            "YIVIDEO_LIBRARY__ROOTS__CLOUD": f"{self._bucket.url}/library",
            "YIVIDEO_SPEECH__LANGUAGE": "en",
        }
        self.started.append(Host(name, environment))
        return self.started[-1]

    def at_work(self) -> set[tuple[str, str]]:
        """Which host is in which stage."""
        with self.ledger.engine.connect() as connection:
            rows = connection.execute(select(AtWork.worker, AtWork.stage)).all()
        return {(worker.partition(":")[0], stage) for worker, stage in rows}

    def let_fall_silent(self, name: str) -> None:
        """Let so much time pass as a host is waited for."""
        with self.ledger.engine.begin() as connection:
            mine = update(LifeSign).where(LifeSign.worker.startswith(f"{name}:"))
            connection.execute(mine.values(at=LifeSign.at - GONE_AFTER_S))

    def made(self, stage: str) -> int:
        """How often the bucket was given a result of a stage."""
        puts = [one.path for one in self._served if one.method == "PUT"]
        return sum(f"/{stage}-" in path and path.endswith("/manifest.json") for path in puts)

    @cached_property
    def _served(self) -> list[Served]:
        return self._bucket.served()

    def require_all_is_whole_and_free(self) -> None:
        assert b"-->" in self._bucket.read("library/talk.en.srt")
        kept = self._bucket.keys()
        assert not [key for key in kept if "checkpoints" in key or key.endswith(".part")]
        with self.ledger.engine.connect() as connection:
            assert connection.scalars(select(Lease.name)).all() == []
            assert connection.scalars(select(AtWork.key)).all() == []


@pytest.fixture
def hosts(tmp_path, postgres, bucket):
    port = urlsplit(bucket.storage.environment["AWS_ENDPOINT_URL"]).port
    with run_proxy(port) as proxy:
        running = Hosts(tmp_path, postgres.make_database(), bucket, proxy)
        yield running
        for host in running.started:
            host.kill()
        running.ledger.engine.dispose()


def test_of_two_runs_on_one_video_one_works_and_the_other_takes_its_result(hosts):
    first = hosts.start("one")
    first.wait_for_work()
    second = hosts.start("two")
    wait_for(lambda: ("two", "transcript") in hosts.at_work(), poll_s=0.1)
    first.go_on()
    done, waited = first.end(), second.end()
    assert (done["failure"], waited["failure"]) == (None, None)
    assert "transcript" not in done["reused"]
    assert {"video", "audio", "transcript"} <= set(waited["reused"])
    assert hosts.made("transcript") == hosts.made("audio") == 1
    hosts.require_all_is_whole_and_free()


def test_a_host_that_dies_leaves_its_video_and_what_it_has_done_of_it_to_another(hosts):
    dead = hosts.start("one")
    dead.wait_for_work()
    dead.kill()
    died_at = time.monotonic()
    second = hosts.start("two")
    wait_for(lambda: ("two", "transcript") in hosts.at_work(), poll_s=0.1)
    assert hosts.ledger.workers.deaths() == {}, "it may live: nobody can tell yet"
    hosts.let_fall_silent("one")
    done = second.end()
    print(f"done {time.monotonic() - died_at:.1f} s after the kill, but for {GONE_AFTER_S:.0f} s of silence")
    assert done["failure"] is None
    assert done["resumed_s"] > 0, "by the checkpoint of the dead host"
    assert hosts.made("transcript") == hosts.made("audio") == 1
    hosts.require_all_is_whole_and_free()


def test_a_restart_of_postgres_and_a_cut_to_the_bucket_in_mid_transcript_cost_a_moment(hosts, postgres):
    host = hosts.start("one")
    host.wait_for_work()
    hosts.proxy.cut()
    postgres.stop()
    host.go_on()
    time.sleep(1)  # it runs into both
    postgres.start()
    wait_for(lambda: ("one", "transcript") in hosts.at_work(), poll_s=0.1)
    mended_at = time.monotonic()
    hosts.proxy.mend()
    assert host.end()["failure"] is None
    print(f"done {time.monotonic() - mended_at:.1f} s after the bucket answers again")
    assert hosts.made("transcript") == 1
    hosts.require_all_is_whole_and_free()
