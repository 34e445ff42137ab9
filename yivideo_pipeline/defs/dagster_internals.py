"""Provenance of a materialization: of which versions of what it was made, by which Dagster calls it stale.

Dagster adds it by itself to what a step returns, not to what a step logs for one of its partitions. The
names of the tags are Dagster's, which it does not promise to keep; `tests/defs/test_groups.py` says
what must hold.
"""

import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.execution.api import execute_run
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from sqlalchemy import case, func, select

from yivideo_pipeline.stages import LOCATION, STAGES, TRIGGER_TAG, VIDEOS

UNKNOWN_VERSION = "INITIAL"
"""What Dagster takes for the version of what was never materialized."""


def read_inputs(instance: dg.DagsterInstance, stage: str, key: str) -> dict[str, str]:
    """Return the tags that name what a stage is about to read of a video; call it before it does."""
    tags: dict[str, str] = {}
    for upstream in STAGES[stage].upstream:
        asset = dg.AssetKey(upstream)
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset, asset_partitions=[key]), limit=1
        ).records
        made = found[0].asset_materialization if found else None
        version = made.tags.get(DATA_VERSION_TAG) if made and made.tags else None
        tags[get_input_data_version_tag(asset)] = version or UNKNOWN_VERSION
        tags[get_input_event_pointer_tag(asset)] = str(found[0].storage_id) if found else NULL_EVENT_POINTER
    return tags


def provenance(stage: str, inputs: dict[str, str], data_version: str) -> dict[str, str]:
    """Return the tags of a materialization.

    Args:
        stage: What was made.
        inputs: Of `read_inputs`.
        data_version: Of what was made.
    """
    return {
        CODE_VERSION_TAG: STAGES[stage].code_version,
        DATA_VERSION_TAG: data_version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        **inputs,
    }


# PART defs/silent_output.py: The output of a step that has logged its materializations itself.
#
# Dagster takes what a step hands over for a materialization of every partition of its run, and a step that
# hands over nothing for skipped, with all that follow it. Between the two stands a mark that Dagster keeps for
# its observed source assets; `tests/defs/test_groups.py` says what must hold.


def silent_output() -> dg.MaterializeResult:
    """Return an output by which the next steps run, and which materializes nothing."""
    return dg.MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


# PART defs/in_process.py: Runs a job in this process so that Dagster's UI knows the run as one of its own job's.
#
# `JobDefinition.execute_in_process`, the public way, leaves out where the job is defined and swaps its
# executor: the UI then can't tell that the run belongs to the job, and can't launch it again. So this goes
# one level deeper, through names that Dagster does not promise to keep; `tests/defs/test_instance.py`
# says what must hold.

REPOSITORY = "__repository__"
"""The name that Dagster gives to the one repository of a module with definitions."""


def run_here(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    partition_key: str,
    run_config: Mapping[str, Any],
    tags: Mapping[str, str],
) -> dg.JobExecutionResult:
    """Run a job for one partition, to its end; a failed step does not raise.

    Raises:
        DagsterInvalidConfigError: the run's configuration does not fit the job; there is no run then.
        KeyboardInterrupt: somebody asked to stop; the run is recorded as such.
    """
    run = instance.create_run_for_job(
        job_def=job,
        run_config=run_config,
        tags={
            **tags,
            "dagster/partition": partition_key,
            ".dagster/repository": f"{REPOSITORY}@{LOCATION}",
        },
        remote_job_origin=_origin(job.name),
    )
    result = execute_run(InMemoryJob(job), run, instance)
    # Dagster swallows the interruption once it has recorded it.
    ended = instance.get_run_by_id(run.run_id)
    if ended and ended.status == dg.DagsterRunStatus.CANCELED:
        raise KeyboardInterrupt
    return result


def _origin(job: str) -> RemoteJobOrigin:
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=f"{LOCATION}.definitions")
    # The class fills in what its base declares, in a way that no type checker sees.
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)  # ty: ignore[abstract-class-instantiation]
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, REPOSITORY), job)


# PART defs/backfills/attempts.py: Which videos somebody set out to make and did not, read from Dagster's events by one query.
#
# Dagster has a method for one asset (`get_latest_asset_partition_materialization_attempts_without_
# materializations`); asked for five assets of 20,000 partitions it took 3 s, this takes 0.4 s. It reads a table
# that Dagster does not promise to keep: `tests/defs/test_backfill_state.py` holds it against that method.

_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value
_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION.value


def open_attempts(instance: dg.DagsterInstance, stages: Collection[str]) -> set[tuple[str, str]]:
    """Return (key, run id) where a run was the last that should make a stage of a video and has not made it.

    The run may be queued, at work, or at its end.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"Dagster's events must be in a database, not in {type(storage).__name__}")
    event = Events.c
    planned = func.max(case((event.dagster_event_type == _PLANNED, event.id)))
    made = func.max(case((event.dagster_event_type == _MADE, event.id)))
    last_planned = (
        select(planned)
        .where(event.asset_key.in_([dg.AssetKey(stage).to_string() for stage in stages]))
        .where(event.dagster_event_type.in_([_PLANNED, _MADE]), event.partition.is_not(None))
        .group_by(event.asset_key, event.partition)
        .having(planned > func.coalesce(made, 0))
    )
    with storage.index_connection() as connection:
        rows = connection.execute(
            select(event.partition, event.run_id).where(event.id.in_(last_planned.scalar_subquery()))
        )
        return {(row.partition, row.run_id) for row in rows}


# PART defs/partitions.py: The partitions of the stages.

videos = dg.DynamicPartitionsDefinition(name=VIDEOS)
"""One partition a video; the keys are `storage.partition_keys`'."""


# PART defs/backfills/launch.py: Launches backfills that the UI shows as its own, and finds those that are not finished.
#
# Dagster has no public way to launch one from a schedule or a command; this goes through names that it does
# not promise to keep. `tests/defs/test_backfill_launch.py` says what must hold. The daemon takes a backfill up
# within half a minute; as long as none runs it waits.

PRIORITY = "-2"
"""Behind a person's own runs and behind the library watch."""
ORIGIN_TAG = "yivideo/backfill"
"""What launched it: a schedule's name, or `by-hand`. It is on each of its runs too."""
LONGEST_ID = 32
"""What Dagster's table has room for."""
_UNFINISHED = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]
_LIVE_S = 60
"""A daemon that was not heard of for so long does not run; it tells every half minute."""


@dataclass(frozen=True)
class Order:
    """One backfill to launch: some videos, and the stages that all of them need.

    Attributes:
        backfill_id: Decides whether it is the same one as another; at most 32 characters.
        origin: What launches it.
        trigger: `schedule` or `backfill`, for the tag that all runs have.
        keys: The videos.
        stages: The stages to make, all that lie after the first of them.
        title: What its page is headed with.
        description: What it is for.
    """

    backfill_id: str
    origin: str
    trigger: str
    keys: Sequence[str]
    stages: Sequence[str]
    title: str
    description: str


def launch(instance: dg.DagsterInstance, order: Order) -> bool:
    """Launch a backfill, unless there is one of that id already; returns whether it was launched.

    Two that try at the same time don't launch it twice either: the second fails by the id.
    """
    if instance.get_backfill(order.backfill_id) is not None:
        return False
    subset = videos.subset_with_partition_keys(order.keys)
    targets = AssetGraphSubset({dg.AssetKey(stage): subset for stage in order.stages})
    tags = {"dagster/priority": PRIORITY, ORIGIN_TAG: order.origin, TRIGGER_TAG: order.trigger}
    if order.trigger == "schedule":
        tags["dagster/schedule_name"] = order.origin
    instance.add_backfill(
        PartitionBackfill.from_asset_graph_subset(
            backfill_id=order.backfill_id,
            backfill_timestamp=time.time(),
            tags=tags,
            dynamic_partitions_store=instance,
            asset_graph_subset=targets,
            title=order.title,
            description=order.description,
            run_config=None,
        )
    )
    return True


def is_known(instance: dg.DagsterInstance, backfill_id: str) -> bool:
    """Tell whether there is or was a backfill of that id."""
    return instance.get_backfill(backfill_id) is not None


def unfinished_of_ours(instance: dg.DagsterInstance) -> list[str]:
    """Return the ids of backfills that `launch` launched and that are not at their end."""
    return [one.backfill_id for one in _unfinished(instance) if ORIGIN_TAG in one.tags]


def take_back_scheduled(instance: dg.DagsterInstance) -> int:
    """Take back what waits of the schedules' backfills; a run that has begun goes on to its end.

    The backfill then ends with these videos not made, and they are found again like all that are not.

    Returns:
        How many runs were taken out of the queue, and backfills that had no runs yet.
    """
    taken = 0
    for backfill in _unfinished(instance):
        if backfill.tags.get(TRIGGER_TAG) != "schedule" or ORIGIN_TAG not in backfill.tags:
            continue
        waiting = dg.RunsFilter(
            tags={"dagster/backfill": backfill.backfill_id}, statuses=[dg.DagsterRunStatus.QUEUED]
        )
        for run in instance.get_runs(waiting):
            instance.report_run_canceling(run, message="Taken back: backfills are paused")
            instance.report_run_canceled(run)
            taken += 1
        data = backfill.asset_backfill_data
        unbegun = data is not None and data.requested_subset.is_empty
        if unbegun and backfill.status == BulkActionStatus.REQUESTED:
            instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELING))
            taken += 1
    return taken


def videos_under_way(instance: dg.DagsterInstance) -> set[str]:
    """Return the videos that any unfinished backfill, also one of the UI, has still to do."""
    stages = {dg.AssetKey(stage) for stage in STAGES}
    keys: set[str] = set()
    for backfill in _unfinished(instance):
        if backfill.asset_backfill_data is None:  # of the job, not of the assets: it counts as a whole
            keys.update(backfill.partition_names or ())
            continue
        left = backfill.asset_backfill_data.get_targeted_partitions_without_materialization_status()
        for asset, subset in left.partitions_subsets_by_asset_key.items():
            if asset in stages:
                keys.update(subset.get_partition_keys())
    return keys


def daemon_runs(instance: dg.DagsterInstance) -> bool:
    """Tell whether a daemon that takes backfills up was heard of lately."""
    heard = instance.get_daemon_heartbeats().get("BACKFILL")
    return heard is not None and time.time() - heard.timestamp < _LIVE_S


def _unfinished(instance: dg.DagsterInstance) -> Sequence[PartitionBackfill]:
    return instance.get_backfills(filters=BulkActionsFilter(statuses=_UNFINISHED))
