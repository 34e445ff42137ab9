"""Dagster's instance as a reader sees it."""

import time
from uuid import uuid4

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from tests.make_history import log_video
from yivideo_pipeline.defs.dagster_internals import job_origin
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.history.instance import LATE_S, find_instance, read_heartbeats, read_queue
from yivideo_pipeline.stages import JOB


@pytest.fixture
def instance(home):
    with open_instance(home) as instance:
        yield instance


def test_where_there_is_no_instance_none_is_made(home):
    assert find_instance(home) is None
    assert list(home.iterdir()) == []


def test_the_homes_instance_is_found(home, instance):
    log_video(instance, "a.mp4", time.time())
    found = find_instance(home)
    assert found is not None
    with found:
        assert found.get_materialized_partitions(dg.AssetKey("subtitles")) == {"a.mp4"}


def test_dagster_home_goes_first(home, instance, tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "elsewhere"))
    assert find_instance(home) is None


def test_waiting_and_working_runs_are_counted(instance):
    states = dg.DagsterRunStatus
    for status in (states.QUEUED, states.QUEUED, states.STARTED, states.SUCCESS, states.FAILURE):
        run = dg.DagsterRun(
            job_name=JOB, run_id=str(uuid4()), status=status, remote_job_origin=job_origin(JOB)
        )
        instance.add_run(run)
    queue = read_queue(instance)
    assert (queue.queued, queue.running, queue.failed_today) == (2, 1, 1)
    assert 0 < queue.waiting_s < 3600


def test_a_silent_daemon_is_told_from_one_at_work(instance):
    assert read_heartbeats(instance) == []
    now = time.time()
    for daemon, at in (("SENSOR", now), ("SCHEDULER", now - LATE_S - 60), ("GONE_WITH_A_VERSION", 0.0)):
        instance.add_daemon_heartbeat(DaemonHeartbeat(at, daemon, "id"))
    beats = {beat.daemon: beat.healthy for beat in read_heartbeats(instance)}
    assert beats == {"SCHEDULER": False, "SENSOR": True}
