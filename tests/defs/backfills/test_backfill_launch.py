import time
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._daemon.types import DaemonHeartbeat

from yivideo_pipeline.defs.backfills.launch import (
    PlannedBackfill,
    daemon_runs,
    launch,
    unfinished_of_ours,
    videos_under_way,
    withdraw_scheduled,
)
from yivideo_pipeline.defs.backfills.plan import plan_by_hand, plan_scheduled
from yivideo_pipeline.defs.backfills.selection import BackfillReason, Candidate, Selection, read_state
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.dagster_internals import LONGEST_BACKFILL_ID, job_origin
from yivideo_pipeline.stages import JOB, STAGES, VIDEOS

DUE = datetime(2026, 11, 22, 1, tzinfo=UTC)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(VIDEOS, ["a", "b", "c"])
        yield instance


def planned(**changes):
    backfill = PlannedBackfill(
        backfill_id="nightly-1",
        origin="nightly_missing_or_failed",
        trigger="schedule",
        keys=["a", "c"],
        stages=tuple(STAGES),
        title="Nightly: 2 missing",
        description="a, c",
    )
    return replace(backfill, **changes)


def selection(**starts):
    return Selection(tuple(Candidate(key, BackfillReason.STALE, start) for key, start in starts.items()))


def end(instance, backfill_id, status=BulkActionStatus.COMPLETED_SUCCESS):
    instance.update_backfill(instance.get_backfill(backfill_id).with_status(status))


def test_the_daemon_is_given_what_was_planned(instance):
    assert launch(instance, planned())
    backfill = instance.get_backfill("nightly-1")
    assert backfill.status == BulkActionStatus.REQUESTED
    assert backfill.is_asset_backfill
    assert (backfill.title, backfill.description) == ("Nightly: 2 missing", "a, c")
    assert backfill.tags == {
        "dagster/priority": "-2",
        "dagster/schedule_name": "nightly_missing_or_failed",
        "yivideo/automatic": "true",
        "yivideo/backfill": "nightly_missing_or_failed",
        "yivideo/trigger": "schedule",
    }
    wanted = backfill.asset_backfill_data.target_subset.partitions_subsets_by_asset_key
    assert {asset.to_user_string(): set(subset.get_partition_keys()) for asset, subset in wanted.items()} == {
        stage: {"a", "c"} for stage in STAGES
    }


def test_only_the_stages_of_the_plan_are_made(instance):
    launch(instance, planned(stages=["subtitles"]))
    assert instance.get_backfill("nightly-1").asset_selection == [dg.AssetKey("subtitles")]


def test_the_same_backfill_is_not_launched_twice_even_after_its_end(instance):
    assert launch(instance, planned())
    assert not launch(instance, planned(keys=["b"]))
    end(instance, "nightly-1")
    assert not launch(instance, planned())
    assert len(instance.get_backfills()) == 1


def test_what_is_unfinished_is_found_until_its_end(instance):
    launch(instance, planned())
    assert unfinished_of_ours(instance) == ["nightly-1"]
    assert videos_under_way(instance) == {"a", "c"}
    end(instance, "nightly-1", BulkActionStatus.CANCELED)
    assert unfinished_of_ours(instance) == []
    assert videos_under_way(instance) == set()


def test_a_backfill_of_the_ui_is_not_ours_but_its_videos_are_under_way(instance):
    launch(instance, planned())
    instance.update_backfill(instance.get_backfill("nightly-1")._replace(tags={"user": "ann"}))
    assert unfinished_of_ours(instance) == []
    assert videos_under_way(instance) == {"a", "c"}


def test_videos_of_a_backfill_of_the_job_are_under_way_too(instance):
    of_the_job = PartitionBackfill(
        "job", BulkActionStatus.REQUESTED, False, {}, backfill_timestamp=1.0, partition_names=["b"]
    )
    instance.add_backfill(of_the_job)
    assert videos_under_way(instance) == {"b"}


def queue_of(instance, pipeline, backfill_id, key, status):
    """A run of a backfill as the daemon makes it."""
    return instance.create_run_for_job(
        job_def=build_definitions(pipeline.resources).resolve_job_def(JOB),
        run_id=str(uuid4()),
        status=status,
        tags={"dagster/partition": key, "dagster/backfill": backfill_id},
        remote_job_origin=job_origin(JOB),
    )


def submitted(instance, **changes):
    """A backfill whose runs the daemon has made."""
    one = planned(**changes)
    launch(instance, one)
    backfill = instance.get_backfill(one.backfill_id)
    data = backfill.asset_backfill_data
    requested = data._replace(requested_subset=data.target_subset)
    instance.update_backfill(backfill._replace(asset_backfill_data=requested))
    return one.backfill_id


def test_a_pause_takes_back_what_waits_and_lets_a_begun_run_end(instance, pipeline):
    scheduled = submitted(instance)
    by_hand = submitted(instance, backfill_id="by-hand-1", origin="by-hand", trigger="backfill")
    waits = queue_of(instance, pipeline, scheduled, "a", dg.DagsterRunStatus.QUEUED)
    begun = queue_of(instance, pipeline, scheduled, "c", dg.DagsterRunStatus.STARTED)
    asked = queue_of(instance, pipeline, by_hand, "b", dg.DagsterRunStatus.QUEUED)
    assert withdraw_scheduled(instance) == 1
    status = {run.run_id: run.status for run in instance.get_runs()}
    assert status[waits.run_id] == dg.DagsterRunStatus.CANCELED
    assert status[begun.run_id] == dg.DagsterRunStatus.STARTED
    assert status[asked.run_id] == dg.DagsterRunStatus.QUEUED
    assert read_state(instance).failed == set()


def test_a_pause_cancels_a_backfill_that_has_no_runs_yet(instance):
    launch(instance, planned())
    assert withdraw_scheduled(instance) == 1
    assert instance.get_backfill("nightly-1").status == BulkActionStatus.CANCELING
    assert withdraw_scheduled(instance) == 0


def test_a_daemon_runs_while_it_sends_heartbeats(instance):
    assert not daemon_runs(instance)
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 3600, "BACKFILL", None, None))
    assert not daemon_runs(instance)
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "BACKFILL", None, None))
    assert daemon_runs(instance)


def test_videos_that_begin_with_different_stages_go_into_different_backfills():
    first, second = plan_scheduled(
        selection(a="subtitles", b="transcript", c="subtitles"), "weekly_stale", DUE
    )
    assert (first.keys, first.stages) == (["b"], ("transcript", "alignment", "subtitles"))
    assert (second.keys, second.stages) == (["a", "c"], ("subtitles",))
    assert (first.title, second.title) == ("Weekly: 1 stale", "Weekly: 2 stale")


def test_a_tick_gives_the_same_ids_whenever_it_is_evaluated_and_the_next_one_others():
    ids = [one.backfill_id for one in plan_scheduled(selection(a="video"), "nightly_m", DUE)]
    assert ids == ["nightly-20261122-0100"]
    later = plan_scheduled(selection(a="video"), "nightly_m", DUE.replace(hour=2))
    assert [one.backfill_id for one in later] != ids


@pytest.mark.parametrize("start", STAGES)
def test_dagsters_table_has_room_for_every_id(instance, start):
    (scheduled,) = plan_scheduled(selection(a=start), "nightly_missing_or_failed", DUE)
    (by_hand,) = plan_by_hand(instance, selection(a=start))
    assert max(len(scheduled.backfill_id), len(f"{by_hand.backfill_id}-99")) <= LONGEST_BACKFILL_ID


def test_the_same_videos_may_be_launched_by_hand_again(instance):
    (first,) = plan_by_hand(instance, selection(a="video"))
    launch(instance, first)
    end(instance, first.backfill_id)
    (second,) = plan_by_hand(instance, selection(a="video"))
    assert second.backfill_id == f"{first.backfill_id}-2"
