"""What the daemon reads each second of the runs that wait: decoded once, and what changes is seen."""

from uuid import uuid4

import dagster as dg

from yivideo_pipeline.defs.dagster_internals import job_origin
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.queued_runs import _decode_queued
from yivideo_pipeline.stages import JOB

PRIORITY = "dagster/priority"
QUEUED = dg.DagsterRunStatus.QUEUED


def test_a_waiting_run_is_decoded_once_and_what_changes_is_seen(home, url):
    with open_instance(home, url) as instance:
        origin = job_origin(JOB)
        for _ in range(3):
            instance.add_run(dg.DagsterRun(JOB, run_id=str(uuid4()), status=QUEUED, remote_job_origin=origin))
        waiting = dg.RunsFilter(statuses=[QUEUED])
        first = instance.get_runs(waiting)
        decoded = _decode_queued.cache_info().misses
        assert instance.get_runs(waiting) == first
        assert [record.dagster_run for record in instance.get_run_records(waiting)] == first
        assert _decode_queued.cache_info().misses == decoded

        ahead, canceled, stays = first
        instance.add_run_tags(ahead.run_id, {PRIORITY: "5"})
        instance.report_run_canceled(canceled)
        assert {run.run_id: run.tags.get(PRIORITY) for run in instance.get_runs(waiting)} == {
            ahead.run_id: "5",
            stays.run_id: None,
        }
        found = instance.get_run_by_id(canceled.run_id)
        assert found is not None and found.status == dg.DagsterRunStatus.CANCELED
