"""A failed run that Dagster loses is launched again, or its video gets a reason."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget, create_test_daemon_workspace_context
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

from tests.defs.pipeline import Pipeline
from tests.defs.sensors.sensor_daemon import DEFINITIONS
from yivideo_pipeline.defs.dagster_internals import job_origin
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.sensors.lost_runs import settle_failed_runs
from yivideo_pipeline.defs.ticks import Tick
from yivideo_pipeline.errors.tree import DiskFull
from yivideo_pipeline.stages import JOB, VIDEOS

LONG_AGO = datetime.fromtimestamp(0, UTC)
KILLED = "The process that ran it is gone"


class LostRuns:
    """A queued run of a video, and the two parts of the daemon that look at failed runs."""

    def __init__(self, pipeline: Pipeline, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.ledger = pipeline.resources["ledger"]
        self._tick = Tick(pipeline.settings, self.ledger, is_dry=False)
        instance.add_dynamic_partitions(VIDEOS, [pipeline.add("talk.mp4")])
        tags, origin = {"dagster/partition": "talk.mp4"}, job_origin(JOB)
        self.run = instance.create_run_for_job(pipeline.job, tags=tags, remote_job_origin=origin)

    def kill(self) -> None:
        """End the latest run as if its process had been killed."""
        self.instance.report_run_failed(self.instance.get_runs(limit=1)[0], KILLED)

    def retry(self, code_server: bool = True) -> None:
        """Let Dagster launch again what failed since the last time."""
        target = InProcessTestWorkspaceLoadTarget([DEFINITIONS] if code_server else [])
        with create_test_daemon_workspace_context(target, self.instance) as workspace:
            list(EventLogConsumerDaemon().run_iteration(workspace))

    def settle(self, later_s: float = 0.0, since: datetime = LONG_AGO) -> tuple[datetime, list[str]]:
        now = datetime.now(UTC) + timedelta(seconds=later_s)
        return settle_failed_runs(self.instance, self._tick, since, now)


@pytest.fixture
def lost(pipeline, home):
    with open_instance(home) as instance:
        lost = LostRuns(pipeline, instance)
        lost.retry(code_server=False)  # from here on it reads the events
        yield lost


def test_a_retry_that_got_lost_while_the_code_server_was_away_is_asked_for_until_it_is_there(lost):
    lost.kill()
    lost.retry(code_server=False)
    assert lost.instance.get_run_by_id(lost.run.run_id).tags["dagster/will_retry"] == "false"
    since, lines = lost.settle()
    assert lines == [], "Dagster may be about to do it"
    for _ in range(2):
        lost.retry(code_server=False)
        _, (line,) = lost.settle(later_s=20, since=since)
        assert "asked for once more" in line
    lost.retry()
    again = lost.instance.get_runs(limit=1)[0]
    assert (again.parent_run_id, again.status) == (lost.run.run_id, dg.DagsterRunStatus.QUEUED)
    assert lost.settle(later_s=20, since=since)[1] == []
    assert lost.ledger.failures.last("talk.mp4") is None


def test_a_run_that_is_lost_for_good_leaves_its_video_with_a_reason_once(lost):
    for _ in range(3):
        lost.kill()
        lost.retry()
    assert len(lost.instance.get_runs()) == 3
    since, (line,) = lost.settle()
    assert line.startswith("talk.mp4: its run")
    failure = lost.ledger.failures.last("talk.mp4")
    assert (failure.kind, failure.attempts) == ("worker_killed", 3)
    assert failure.message == "The run ended 3 times in the middle of its work"
    assert KILLED in failure.hint
    assert lost.settle(since=since)[1] == lost.settle()[1] == []


def test_a_failure_that_its_stage_has_recorded_stays_as_it_is(lost):
    lost.ledger.failures.note_failure("talk.mp4", "audio", lost.run.run_id, DiskFull("It is full", ""), 1)
    lost.instance.add_run_tags(lost.run.run_id, {"dagster/max_retries": "0"})
    lost.kill()
    assert lost.settle()[1] == []
    assert lost.ledger.failures.last("talk.mp4").kind == "disk"
