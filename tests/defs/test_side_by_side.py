"""Short videos of one run at work at the same time."""

import os
import signal
import threading
from functools import partial

import dagster as dg
import pytest
from sqlalchemy.orm import Session

from tests.defs.multi_runs import add_videos, made
from tests.defs.pipeline import SAMPLE
from tests.fake_speech import FakeEngine
from tests.waiting import wait_for
from yivideo_pipeline.defs import multi_run
from yivideo_pipeline.defs.multi_run import MultiRun
from yivideo_pipeline.errors.tree import TaskCancelled
from yivideo_pipeline.ledger.workers import Death
from yivideo_pipeline.stages import STAGES

PATIENCE_S = 60


def process(pipeline, *names):
    """Process them as `yivideo process` does; return the outcomes of each run."""
    return list(pipeline.processor.process_all(names))


@pytest.fixture
def together(monkeypatch):
    """Let every transcript begin only when two have."""
    both, transcribe = threading.Barrier(2, timeout=PATIENCE_S), FakeEngine.transcribe

    def wait_for_the_other(*arguments, **named):
        both.wait()
        return transcribe(*arguments, **named)

    monkeypatch.setattr(FakeEngine, "transcribe", wait_for_the_other)


@pytest.mark.usefixtures("together")
def test_short_videos_are_at_work_at_the_same_time_and_reported_in_order(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4")
    ((first, second),) = process(pipeline, "a.mp4", "b.mp4")
    assert (first.partition_key, second.partition_key) == ("a.mp4", "b.mp4")
    assert first.success and second.success
    assert first.run_id == second.run_id
    assert first.wall_s == pytest.approx(second.wall_s, rel=0.1), "a share by their duration"
    for stage in STAGES:
        assert made(pipeline, stage) == ["a.mp4", "b.mp4"]
        assert pipeline.metadata(stage, "b.mp4")["reused"].value is False


def test_a_copy_waits_and_takes_what_the_other_made(pipeline):
    for name in ("a.mp4", "copy.mp4"):
        pipeline.add(name)
    ((original, copy),) = process(pipeline, "a.mp4", "copy.mp4")
    assert not set(original.reused) & set(copy.reused)
    assert {*original.reused, *copy.reused} == set(STAGES) - {"subtitles"}, "they have another title"
    assert original.files != copy.files


def test_videos_that_were_not_registered_one_after_the_other_have_runs_of_their_own(pipeline):
    add_videos(pipeline, "a.mp4", "other.mp4", "b.mp4", "c.mp4")
    runs = process(pipeline, "a.mp4", "b.mp4", "c.mp4")
    assert [[one.partition_key for one in run] for run in runs] == [["a.mp4"], ["b.mp4", "c.mp4"]]
    assert made(pipeline, "subtitles") == ["a.mp4", "b.mp4", "c.mp4"]


def test_one_that_fails_is_the_only_one_and_says_why(pipeline):
    add_videos(pipeline, "a.mp4", "b.mp4", broken=["a.mp4"])
    ((bad, good),) = process(pipeline, "a.mp4", "b.mp4")
    assert (bad.failure.kind, bad.failure.stage) == ("media_unreadable", "video")
    assert good.success


def test_ctrl_c_ends_all_that_are_at_work_and_closes_the_run(pipeline, monkeypatch):
    at_work, ended = threading.Semaphore(0), []

    def work_until_stopped(engine, audio, options, progress, *_, **__):
        at_work.release()
        try:
            wait_for(partial(progress, 0.1), poll_s=0.01)
        except TaskCancelled as stopped:
            ended.append(stopped)
            raise

    def press_ctrl_c():
        assert at_work.acquire(timeout=PATIENCE_S) and at_work.acquire(timeout=PATIENCE_S)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(FakeEngine, "transcribe", work_until_stopped)
    add_videos(pipeline, "a.mp4", "b.mp4")
    user = threading.Thread(target=press_ctrl_c)
    user.start()
    ((first, second),) = process(pipeline, "a.mp4", "b.mp4")
    user.join()
    assert first.interrupted and second.interrupted
    assert len(ended) == 2
    assert [run.status for run in pipeline.instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]
    assert made(pipeline, "audio") == ["a.mp4", "b.mp4"], "what was finished stays"


def test_a_long_video_and_one_that_killed_a_worker_are_taken_by_themselves(pipeline, monkeypatch):
    add_videos(pipeline, "a.mp4", "b.mp4", "killer.mp4")
    pipeline.add("long.mkv", SAMPLE.with_name("lighthouse-60s.mkv"))
    ledger, groups, take = pipeline.resources["ledger"], [], MultiRun._take_side_by_side
    with Session(ledger.engine) as session, session.begin():
        session.add(Death("killer.mp4", "transcript", "earlier run", 1.0))

    def note(run, turns):
        groups.append((run.stage_name, [turn.key for turn in turns]))
        return take(run, turns)

    monkeypatch.setattr(MultiRun, "_take_side_by_side", note)
    monkeypatch.setattr(multi_run, "SHORT_S", 20.0)
    (run,) = process(pipeline, "a.mp4", "b.mp4", "killer.mp4", "long.mkv")
    assert [one.success for one in run] == [True] * 4
    sides = [(stage, ["a.mp4", "b.mp4"]) for stage in ("audio", "transcript", "alignment")]
    assert groups == [("video", ["a.mp4", "b.mp4", "long.mkv"]), *sides]
    assert made(pipeline, "audio")[-1] == "killer.mp4"
    assert ledger.workers.suspects() == set(), "it went well"
