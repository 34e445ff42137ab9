"""The queue as we show and steer it, held against the runs that Dagster's own daemon would begin."""

from uuid import uuid4

import dagster as dg
import pytest
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from yivideo_pipeline.defs.dagster_internals import job_origin
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.history.instance import set_paused
from yivideo_pipeline.history.run_queue import move_to_front, read_runs
from yivideo_pipeline.stages import AUTOMATIC_TAG, JOB, PARTITION_TAG, PRIORITY_TAG, RANGE_TAGS, VIDEOS

SENSOR = {PRIORITY_TAG: "-1", AUTOMATIC_TAG: "true"}
NIGHTLY = {PRIORITY_TAG: "-2", AUTOMATIC_TAG: "true"}


@pytest.fixture
def instance(home):
    """An instance in which a backfill's video, three new ones and a user's wait, in this order."""
    with open_instance(home) as opened:
        waiting = [("old", NIGHTLY), ("new1", SENSOR), ("new2", SENSOR), ("new3", SENSOR), ("mine", {})]
        for key, tags in waiting:
            add_run(opened, dg.DagsterRunStatus.QUEUED, {PARTITION_TAG: key, **tags})
        yield opened


def add_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str]) -> None:
    origin = job_origin(JOB)
    run = dg.DagsterRun(JOB, run_id=str(uuid4()), status=status, tags=tags, remote_job_origin=origin)
    instance.add_run(run)


def next_of_dagster(instance: dg.DagsterInstance) -> list[str]:
    """The videos whose runs Dagster's daemon would begin now."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    runs = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
    return [run.tags[PARTITION_TAG] for run in runs]


def places(instance: dg.DagsterInstance) -> list[str]:
    runs = read_runs(instance).runs.values()
    return [run.keys[0] for run in sorted(runs, key=lambda run: run.place or 0)]


def test_places_are_the_order_in_which_dagster_begins(instance):
    assert places(instance) == ["mine", "new1", "new2", "new3", "old"]
    assert next_of_dagster(instance) == ["mine", "new1", "new2", "new3"], (
        "four slots, three for automatic runs"
    )


def test_what_is_moved_to_the_front_begins_first_and_in_a_users_slot(instance):
    assert move_to_front(instance, ["old", "nothing"]) == ["old"]
    assert places(instance)[0] == "old"
    assert next_of_dagster(instance) == ["old", "mine", "new1", "new2"]
    move_to_front(instance, ["new3"])
    assert places(instance) == ["new3", "old", "mine", "new1", "new2"]
    for number in range(3):
        add_run(instance, dg.DagsterRunStatus.STARTED, {PARTITION_TAG: f"at work {number}", **SENSOR})
    assert next_of_dagster(instance) == ["new3"], "the slot that is kept for users"


def test_while_the_queue_is_paused_dagster_begins_nothing(instance):
    set_paused(instance, True)
    assert next_of_dagster(instance) == []
    assert read_runs(instance).is_paused
    set_paused(instance, False)
    assert len(next_of_dagster(instance)) == 4


def test_runs_at_work_have_no_place_and_a_backfills_videos_share_theirs(instance):
    instance.add_dynamic_partitions(VIDEOS, ["z", "a", "m", "later"])
    add_run(instance, dg.DagsterRunStatus.STARTED, {PARTITION_TAG: "begun"})
    add_run(instance, dg.DagsterRunStatus.QUEUED, {**NIGHTLY, **dict(zip(RANGE_TAGS, "zm", strict=True))})
    found = read_runs(instance)
    assert (found.runs["begun"].place, found.waiting, found.working) == (None, 6, 1)
    assert found.runs["a"] is found.runs["z"]
    assert (found.runs["a"].keys, found.runs["a"].place) == (("z", "a", "m"), 6)
    assert "later" not in found.runs
    assert not found.has_backfill
    assert move_to_front(instance, ["m", "later"]) == ["m"]
    assert read_runs(instance).runs["a"].place == 1
