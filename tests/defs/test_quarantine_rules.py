"""Which failures set a video aside, and what takes it up again."""

import subprocess
import sys
from typing import Any

import dagster as dg
import pytest
from range_runs import add_videos, failed_rows, failure_of, made, run_again, run_range

from yivideo_pipeline.errors.tree import DiskFull, MemoryExhausted, ModelLoadError, ServiceUnreachable

DIE = """
import os, sys
from pathlib import Path
from yivideo_pipeline.ledger.database import open_ledger
from yivideo_pipeline.ledger.workers import WorkerLedger

WorkerLedger(open_ledger(Path(sys.argv[1]))).begin(sys.argv[2], "transcript", "run")
os.kill(os.getpid(), 9)
"""


BY_SENSOR = {"yivideo/trigger": "sensor"}


def die_at(bench, key: str, times: int = 1) -> None:
    """Let workers be killed while they are at a video."""
    for _ in range(times):
        subprocess.run([sys.executable, "-c", DIE, str(bench.settings.home), key], check=False)


def failures(bench):
    return bench.resources["ledger"].failures


def fail(bench, error: Exception, runs: int, attempts: int = 3):
    for _ in range(runs):
        bench.speech.fail_with = [error] * attempts
        done = bench.run()
        bench.speech.fail_with = []
    return done


def failure_metadata(bench, run_id: str) -> dict[str, Any]:
    told = failure_of(bench, bench.instance.get_run_by_id(run_id)).metadata
    return {name: value.value for name, value in told.items()}


def test_bad_media_is_set_aside_at_once(bench):
    (bench.inbox / "broken.mp4").write_text("this is no video")
    done = bench.run("broken.mp4")
    entry = failures(bench).find_quarantined("broken.mp4")
    state = (bench.inbox / "broken.mp4").stat()
    assert (entry.size_bytes, entry.mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert entry.failed.kind == done.failure.kind
    assert failure_metadata(bench, done.run_id)["quarantined"] is True


def test_other_failures_set_a_video_aside_after_three_runs_in_a_row(bench):
    bench.add("talk.mp4")
    fail(bench, MemoryExhausted("The GPU is full"), runs=2)
    assert failures(bench).quarantined() == {}
    assert failures(bench).streak("talk.mp4") == 2
    done = fail(bench, MemoryExhausted("The GPU is full"), runs=1)
    assert list(failures(bench).quarantined()) == ["talk.mp4"]
    assert failure_metadata(bench, done.run_id)["quarantined"] is True
    assert failures(bench).last("talk.mp4").attempts == 3


def test_a_success_in_between_ends_the_streak(bench):
    bench.add("talk.mp4")
    fail(bench, MemoryExhausted("The GPU is full"), runs=2)
    assert bench.run().success
    assert failures(bench).last("talk.mp4") is None
    assert failures(bench).streak("talk.mp4") == 0


@pytest.mark.parametrize(
    "error",
    [
        ModelLoadError("The weights are damaged"),
        DiskFull("No space left"),
        ServiceUnreachable("The hub does not answer"),
    ],
)
def test_what_is_not_the_videos_fault_never_sets_it_aside(bench, error):
    bench.add("talk.mp4")
    fail(bench, error, runs=4)
    assert failures(bench).streak("talk.mp4") == 4
    assert failures(bench).quarantined() == {}


def test_neither_does_a_wrong_option_or_a_missing_file(bench):
    bench.add("talk.mp4")
    for _ in range(4):
        assert not bench.run(speech={"batch_size": 999}).success
        assert not bench.run("gone.mp4").success
    assert failures(bench).quarantined() == {}


def test_a_video_that_goes_well_is_released(bench):
    (bench.inbox / "talk.mp4").write_text("this is no video")
    assert not bench.run().success
    bench.add("talk.mp4")
    assert bench.run().success
    assert failures(bench).quarantined() == {}


def test_a_video_that_kills_its_workers_fails_at_once_and_is_set_aside(bench):
    bench.add("talk.mp4")
    die_at(bench, "talk.mp4", times=3)
    done = bench.run(tags=BY_SENSOR)
    assert done.failure.kind == "worker_killed"
    assert "killed 3 times" in done.failure.message
    assert list(failures(bench).quarantined()) == ["talk.mp4"]
    assert bench.speech.loads == 0


def test_released_a_video_has_all_its_chances_again(bench):
    bench.add("talk.mp4")
    die_at(bench, "talk.mp4", times=3)
    bench.run(tags=BY_SENSOR)
    assert failures(bench).release(["talk.mp4", "other.mp4"]) == ["talk.mp4"]
    assert bench.run(tags=BY_SENSOR).success


def test_a_person_may_run_it_all_the_same(bench):
    bench.add("talk.mp4")
    die_at(bench, "talk.mp4", times=3)
    bench.run(tags=BY_SENSOR)
    assert bench.run().success
    assert failures(bench).quarantined() == {}


def test_two_dead_workers_are_no_reason_to_give_up(bench):
    bench.add("talk.mp4")
    die_at(bench, "talk.mp4", times=2)
    assert bench.run(tags=BY_SENSOR).success
    assert bench.resources["ledger"].workers.deaths() == {}


def test_a_group_takes_the_killer_last(bench):
    add_videos(bench, "a.mp4", "b.mp4", "c.mp4")
    die_at(bench, "a.mp4")
    run_range(bench, "a.mp4", "c.mp4", ["video"])
    assert made(bench, "video") == ["b.mp4", "c.mp4", "a.mp4"]


def test_the_last_retry_of_a_group_spares_it_the_killer(bench):
    add_videos(bench, "a.mp4", "b.mp4")
    bench.instance._settings["run_retries"] = {"enabled": True, "max_retries": 1}
    first = run_range(bench, "a.mp4", "b.mp4", ["video"])
    die_at(bench, "a.mp4")
    again = run_again(bench, first)
    assert again.status == dg.DagsterRunStatus.FAILURE
    assert made(bench, "subtitles") == ["b.mp4"]
    assert failed_rows(bench, again)[0]["kind"] == "worker_killed"
    assert failures(bench).quarantined() == {}, "one death is not the end"


def test_a_video_in_a_group_is_set_aside_as_in_a_run_of_its_own(bench):
    add_videos(bench, "a.mp4", "b.mp4", broken=["a.mp4"])
    run_range(bench, "a.mp4", "b.mp4")
    assert list(failures(bench).quarantined()) == ["a.mp4"]
