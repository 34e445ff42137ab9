"""A run that was cancelled or closed ends soon, even where Dagster's one signal to it is lost."""

import os
import signal
from functools import partial

import dagster as dg
import pytest

from tests.fake_speech import FakeEngine
from tests.waiting import wait_for
from yivideo_pipeline.defs import stage
from yivideo_pipeline.defs.launch import Listener
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.defs.runner import Processor
from yivideo_pipeline.media.container import _Bytes

STATUS = dg.DagsterRunStatus


def cancel(pipeline):
    """Note in the instance that the run under way is to stop, as the UI and the gateway do."""
    (run,) = pipeline.instance.get_runs(dg.RunsFilter(statuses=[STATUS.STARTED]))
    pipeline.instance.report_run_canceling(run)


def close(pipeline):
    (run,) = pipeline.instance.get_runs(dg.RunsFilter(statuses=[STATUS.STARTED]))
    pipeline.instance.report_run_failed(run, "its process seems to be gone")


def made_stages(pipeline):
    return {
        name
        for name in ("audio", "transcript", "subtitles")
        if pipeline.instance.get_materialized_partitions(dg.AssetKey(name))
    }


@pytest.mark.parametrize("names", [["a.mp4"], ["a.mp4", "b.mp4"]], ids=["one video", "side by side"])
@pytest.mark.parametrize(("stop", "status"), [(cancel, STATUS.CANCELED), (close, STATUS.FAILURE)])
def test_a_run_that_is_not_to_go_on_ends_in_mid_transcript(pipeline, monkeypatch, names, stop, status):
    asked = []

    def work_until_stopped(engine, audio, options, progress, *_, **__):
        if not asked:
            asked.append(stop(pipeline))
        wait_for(partial(progress, 0.1), poll_s=0.01)

    monkeypatch.setattr(FakeEngine, "transcribe", work_until_stopped)
    monkeypatch.setattr(stage, "REPORT_EVERY_S", 0.0)
    for name in names:
        pipeline.add(name)
    list(pipeline.processor.process_all(names))
    (run,) = pipeline.instance.get_runs()
    assert run.status == status
    assert made_stages(pipeline) == {"audio"}
    ledger = pipeline.resources["ledger"]
    assert ledger.failures.failed_in(run.run_id) == {}, "no video is to blame"
    assert [ledger.workers.at_work(name) for name in names] == [None] * len(names)


def test_what_is_cancelled_just_before_its_delivery_is_not_delivered(pipeline):
    def cancel_at_the_end(key, name, fraction):
        if (name, fraction) == ("subtitles", 1.0):
            cancel(pipeline)

    resources = build_resources(
        pipeline.settings, pipeline.speech, Listener(cancel_at_the_end), writes_anywhere=True
    )
    pipeline.add("talk.mp4")
    ((stopped,),) = Processor(pipeline.instance, resources).process_all(["talk.mp4"])
    assert stopped.interrupted
    assert [file.name for file in pipeline.inbox.iterdir()] == ["talk.mp4"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_pyav_drops_still_ends_the_run(pipeline, monkeypatch):
    read = _Bytes.read

    def read_while_a_signal_arrives(file, size):
        if not pipeline.instance.get_runs(dg.RunsFilter(statuses=[STATUS.CANCELING])):
            cancel(pipeline)
            os.kill(os.getpid(), signal.SIGINT)
        return read(file, size)

    monkeypatch.setattr(_Bytes, "read", read_while_a_signal_arrives)
    pipeline.add("talk.mp4")
    ((stopped,),) = pipeline.processor.process_all(["talk.mp4"])
    assert stopped.interrupted
    assert made_stages(pipeline) == set()


def test_ctrl_c_that_is_lost_still_ends_the_command_s_run(pipeline):
    asked = []

    def press_ctrl_c(key, name, fraction):
        if name == "audio":
            asked.append(name)

    listener = Listener(press_ctrl_c, lambda: bool(asked))
    resources = build_resources(pipeline.settings, pipeline.speech, listener, writes_anywhere=True)
    pipeline.add("talk.mp4")
    ((stopped,),) = Processor(pipeline.instance, resources).process_all(["talk.mp4"])
    assert stopped.interrupted
    assert [run.status for run in pipeline.instance.get_runs()] == [STATUS.CANCELED]
    assert "transcript" not in made_stages(pipeline)
