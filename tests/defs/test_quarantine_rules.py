"""Which failures quarantine a video, and what takes it up again."""

import signal
import subprocess
import sys
from typing import Any

import dagster as dg
import pytest

from tests.defs.multi_runs import add_videos, failed_rows, failure_of, made, run_again, run_range
from yivideo_pipeline.errors.tree import (
    ConfigValidationError,
    DiskFull,
    MemoryExhausted,
    ModelLoadError,
    ServiceUnreachable,
)

DIE = """
import os, sys
from pathlib import Path
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.samples import RunOrigin

open_ledger(Path(sys.argv[1])).workers.begin(sys.argv[2], "transcript", RunOrigin("run", "run"))
os.kill(os.getpid(), 9)
"""


BY_SENSOR = {"yivideo/trigger": "sensor"}


def die_at(pipeline, key: str, times: int = 1) -> None:
    """Let workers be killed while they are at a video."""
    for _ in range(times):
        command = [sys.executable, "-c", DIE, str(pipeline.settings.home), key]
        died = subprocess.run(command, capture_output=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr


def failures(pipeline):
    return pipeline.resources["ledger"].failures


def fail(pipeline, error: Exception, runs: int, attempts: int = 3):
    for _ in range(runs):
        pipeline.speech.fail_with = [error] * attempts
        done = pipeline.run()
        pipeline.speech.fail_with = []
    return done


def failure_metadata(pipeline, run_id: str) -> dict[str, Any]:
    metadata = failure_of(pipeline, pipeline.instance.get_run_by_id(run_id)).metadata
    return {name: value.value for name, value in metadata.items()}


def test_bad_media_is_quarantined_at_once(pipeline):
    (pipeline.inbox / "broken.mp4").write_text("this is no video")
    done = pipeline.run("broken.mp4")
    entry = failures(pipeline).find_quarantined("broken.mp4")
    state = (pipeline.inbox / "broken.mp4").stat()
    assert (entry.size_bytes, entry.mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert entry.failure.kind == done.failure.kind
    assert failure_metadata(pipeline, done.run_id)["quarantined"] is True


def test_other_failures_quarantine_a_video_after_three_runs_in_a_row(pipeline):
    pipeline.add("talk.mp4")
    fail(pipeline, MemoryExhausted("The GPU is full"), runs=2)
    assert failures(pipeline).quarantined() == {}
    assert failures(pipeline).streak("talk.mp4") == 2
    done = fail(pipeline, MemoryExhausted("The GPU is full"), runs=1)
    assert list(failures(pipeline).quarantined()) == ["talk.mp4"]
    assert failure_metadata(pipeline, done.run_id)["quarantined"] is True
    assert failures(pipeline).last("talk.mp4").attempts == 3


def test_a_success_in_between_ends_the_streak(pipeline):
    pipeline.add("talk.mp4")
    fail(pipeline, MemoryExhausted("The GPU is full"), runs=2)
    assert pipeline.run().success
    assert failures(pipeline).last("talk.mp4") is None
    assert failures(pipeline).streak("talk.mp4") == 0


@pytest.mark.parametrize(
    "error",
    [
        ModelLoadError("The weights are damaged"),
        DiskFull("No space left"),
        ServiceUnreachable("The hub does not answer"),
    ],
)
def test_what_is_not_the_videos_fault_never_quarantines_it(pipeline, error):
    pipeline.add("talk.mp4")
    fail(pipeline, error, runs=4)
    assert failures(pipeline).streak("talk.mp4") == 4
    assert failures(pipeline).quarantined() == {}


def test_neither_does_a_wrong_setting_or_a_missing_file(pipeline, monkeypatch):
    def check(options):
        raise ConfigValidationError("device: this machine has no GPU")

    monkeypatch.setattr(pipeline.speech, "check", check)
    pipeline.add("talk.mp4")
    for _ in range(4):
        assert pipeline.run().failure.kind == "config_validation"
        assert not pipeline.run("gone.mp4").success
    assert failures(pipeline).quarantined() == {}


def test_a_video_that_goes_well_is_released(pipeline):
    (pipeline.inbox / "talk.mp4").write_text("this is no video")
    assert not pipeline.run().success
    pipeline.add("talk.mp4")
    assert pipeline.run().success
    assert failures(pipeline).quarantined() == {}


def test_a_video_that_kills_its_workers_fails_at_once_and_is_quarantined(pipeline):
    pipeline.add("talk.mp4")
    die_at(pipeline, "talk.mp4", times=3)
    done = pipeline.run(tags=BY_SENSOR)
    assert done.failure.kind == "worker_killed"
    assert "killed 3 times" in done.failure.message
    assert list(failures(pipeline).quarantined()) == ["talk.mp4"]
    assert pipeline.speech.loads == 0


def test_released_a_video_has_all_its_chances_again(pipeline):
    pipeline.add("talk.mp4")
    die_at(pipeline, "talk.mp4", times=3)
    pipeline.run(tags=BY_SENSOR)
    assert failures(pipeline).release(["talk.mp4", "other.mp4"]) == ["talk.mp4"]
    assert pipeline.run(tags=BY_SENSOR).success


def test_a_user_may_run_it_all_the_same(pipeline):
    pipeline.add("talk.mp4")
    die_at(pipeline, "talk.mp4", times=3)
    pipeline.run(tags=BY_SENSOR)
    assert pipeline.run().success
    assert failures(pipeline).quarantined() == {}


def test_two_dead_workers_are_no_reason_to_give_up(pipeline):
    pipeline.add("talk.mp4")
    die_at(pipeline, "talk.mp4", times=2)
    assert pipeline.run(tags=BY_SENSOR).success
    assert pipeline.resources["ledger"].workers.deaths() == {}


def test_a_multi_run_takes_the_killer_last(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4", "c.mp4")
    die_at(pipeline, "a.mp4")
    run_range(pipeline, "a.mp4", "c.mp4", ["video"])
    assert made(pipeline, "video") == ["b.mp4", "c.mp4", "a.mp4"]


def test_the_last_retry_of_a_multi_run_spares_it_the_killer(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4")
    pipeline.instance._settings["run_retries"] = {"enabled": True, "max_retries": 1}
    first = run_range(pipeline, "a.mp4", "b.mp4", ["video"])
    die_at(pipeline, "a.mp4")
    again = run_again(pipeline, first)
    assert again.status == dg.DagsterRunStatus.FAILURE
    assert made(pipeline, "subtitles") == ["b.mp4"]
    assert failed_rows(pipeline, again)[0]["kind"] == "worker_killed"
    assert failures(pipeline).quarantined() == {}, "one death is not the end"


def test_a_video_in_a_multi_run_is_quarantined_as_in_a_run_of_its_own(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4", broken=["a.mp4"])
    run_range(pipeline, "a.mp4", "b.mp4")
    assert list(failures(pipeline).quarantined()) == ["a.mp4"]
