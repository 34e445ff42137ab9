import os
import socket
import subprocess
import time

import psutil
import pytest
from sqlalchemy.orm import Session

from yivideo_pipeline.ledger.alive import GONE_AFTER_S, LifeSign, is_gone, worker_of_this_process
from yivideo_pipeline.ledger.database import upsert
from yivideo_pipeline.ledger.failures import Attempt
from yivideo_pipeline.ledger.known_videos import known_videos, workers_by_video
from yivideo_pipeline.ledger.samples import RunOrigin
from yivideo_pipeline.ledger.workers import WorkerLedger

RUN = RunOrigin("run1", "root1", job="process_video", trigger="cli", run_model="base")
OTHER = RunOrigin("run2", "root2")


@pytest.fixture
def other_worker(ledger, request):
    """A process that is at work on a.mp4, or on the videos that the test names."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            started = psutil.Process(process.pid).create_time()
            others = WorkerLedger(ledger.engine)
            others._worker = f"{socket.gethostname()}:{process.pid}:{started:.2f}"
            for key in getattr(request, "param", ["a.mp4"]):
                others.begin(key, "transcript", RUN)
            yield process
        finally:
            process.kill()


def test_who_ends_its_work_leaves_nothing_behind(ledger):
    assert ledger.workers.begin("a.mp4", "audio", RUN) == 0
    ledger.workers.end("a.mp4")
    assert ledger.workers.begin("a.mp4", "transcript", RUN) == 0
    assert ledger.workers.deaths() == {}


def test_others_see_how_far_a_worker_is_until_it_ends(ledger):
    ledger.workers.begin("a.mp4", "transcript", RUN)
    assert ledger.workers.at_work("a.mp4").fraction is None
    ledger.workers.report("a.mp4", 0.25)
    ledger.workers.report("a.mp4", 0.5)
    assert ledger.workers.at_work("a.mp4").fraction == 0.5
    with Session(ledger.engine) as session:
        video = known_videos(session, ["a.mp4"], workers_by_video(session))["a.mp4"]
    assert (video.stage, video.stage_fraction) == ("transcript", 0.5)
    ledger.workers.begin("a.mp4", "alignment", RUN)
    assert ledger.workers.at_work("a.mp4").fraction is None, "that was the stage before"


def test_all_that_is_being_worked_on_is_listed_with_its_host_and_its_sign_of_life(ledger, other_worker):
    ledger.workers.begin("b.mp4", "audio", OTHER)
    ledger.workers.report("b.mp4", 0.5)
    far = WorkerLedger(ledger.engine)
    far._worker = "gpu-7:41:1.00"
    far.begin("c.mp4", "audio", RUN)
    with ledger.engine.begin() as connection:
        upsert(connection, [LifeSign(worker_of_this_process(), time.time() - 2)])
    busy = {one.key: one for one in ledger.workers.busy()}
    assert {key: (one.host, one.pid, one.stage, one.fraction) for key, one in busy.items()} == {
        "a.mp4": (socket.gethostname(), other_worker.pid, "transcript", None),
        "b.mp4": (socket.gethostname(), os.getpid(), "audio", 0.5),
        "c.mp4": ("gpu-7", 41, "audio", None),
    }
    assert 0 <= busy["b.mp4"].silent_s < GONE_AFTER_S
    assert busy["c.mp4"].silent_s is None, "it never gave a sign"
    other_worker.kill()
    other_worker.wait()
    assert [one.key for one in ledger.workers.busy()] == ["c.mp4", "b.mp4"], "by host"


def test_a_living_worker_counts_as_no_death(ledger, other_worker):
    assert ledger.workers.begin("a.mp4", "transcript", OTHER) == 0
    ledger.workers.end("a.mp4")
    assert ledger.workers.at_work("a.mp4").run_id == "run1"


def test_a_killed_worker_is_counted_once(ledger, other_worker):
    other_worker.kill()
    other_worker.wait()
    assert ledger.workers.at_work("a.mp4") is None
    assert ledger.workers.deaths() == {"a.mp4": 1}
    assert ledger.workers.begin("a.mp4", "transcript", RUN) == 1
    assert ledger.workers.begin("b.mp4", "transcript", RUN) == 0
    assert ledger.workers.deaths() == {"a.mp4": 1}


@pytest.mark.parametrize("other_worker", [["a.mp4", "b.mp4"]], indirect=True)
def test_of_videos_that_were_worked_on_side_by_side_all_are_suspected_and_none_is_blamed(
    ledger, other_worker
):
    other_worker.kill()
    other_worker.wait()
    assert ledger.workers.deaths() == {}
    assert ledger.workers.suspects() == {"a.mp4", "b.mp4"}
    assert ledger.workers.begin("a.mp4", "transcript", RUN) == 0
    ledger.failures.note_success("a.mp4")
    assert ledger.workers.suspects() == {"b.mp4"}


def test_a_killed_workers_stage_is_a_failed_sample_of_its_run_and_recorded_once(ledger, other_worker):
    other_worker.kill()
    other_worker.wait()
    ledger.workers.bury_dead()
    ledger.workers.bury_dead()
    assert ledger.workers.deaths() == {"a.mp4": 1}
    samples = ledger.samples.samples()
    names = ("run_id", "root_id", "job", "trigger", "run_model", "stage", "key", "success", "kind")
    assert [[samples[name] for name in names]] == [
        [
            ["run1"],
            ["root1"],
            ["process_video"],
            ["cli"],
            ["base"],
            ["transcript"],
            ["a.mp4"],
            [0],
            ["worker"],
        ]
    ]


def test_a_living_worker_is_no_failed_sample(ledger, other_worker):
    ledger.workers.bury_dead()
    assert ledger.samples.samples()["id"] == []
    assert ledger.workers.at_work("a.mp4").root_id == "root1"


def test_deaths_are_forgotten_when_the_video_goes_well(ledger, other_worker):
    other_worker.kill()
    other_worker.wait()
    ledger.failures.note_success("a.mp4")
    assert ledger.workers.deaths() == {"a.mp4": 1}, "the death was found after the success"
    ledger.failures.note_success("a.mp4")
    assert ledger.workers.deaths() == {}


def test_this_process_lives_and_nothing_is_known_of_other_machines():
    assert not is_gone(worker_of_this_process())
    assert not is_gone("another-machine:1:1.00")
    host, pid, _ = worker_of_this_process().rsplit(":", 2)
    assert is_gone(f"{host}:{pid}:1.00"), "its number belongs to another process by now"


def test_attempts_are_kept_in_order_until_the_stage_is_over(ledger):
    first, second = Attempt("memory", "Full", 2.0), Attempt("service", "No answer", 4.0)
    ledger.attempts.note("a.mp4", "transcript", "run1", first)
    ledger.attempts.note("a.mp4", "transcript", "run1", second)
    assert ledger.attempts.of("a.mp4", "transcript", "run1") == (first, second)
    assert ledger.attempts.of("a.mp4", "alignment", "run1") == ()
    assert ledger.attempts.of("a.mp4", "transcript", "run2") == ()
    ledger.attempts.forget("a.mp4", "transcript")
    assert ledger.attempts.of("a.mp4", "transcript", "run1") == ()
