"""All that uses names which Dagster does not promise to keep, seen working on `SEEN_ON`.

Each part says why it goes around the public way, which test says what must hold, and what to do when Dagster
breaks it; so do `run_internals` and the storages, which are ideas of their own.
`tests/defs/test_dagster_internals.py` fails when another minor version of Dagster is installed.
"""

import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._check import CheckError
from dagster._config import EvaluateValueResult
from dagster._config.pythonic_config.resource import ConfigurableResourceFactoryResourceDefinition
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.events import RunFailureReason
from dagster._core.execution.backfill import (
    BULK_ACTION_TERMINAL_STATUSES,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.instance.ref import InstanceRef
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.tags import BACKFILL_ID_TAG, GRPC_INFO_TAG, RUN_FAILURE_REASON_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._utils.cached_method import cached_method
from sqlalchemy import case, func, select
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from yivideo_pipeline.defs.partitions import videos
from yivideo_pipeline.stages import LOCATION, STAGES

SEEN_ON = "1.13"
"""The minor version of Dagster on which all of this was seen to work (by patch: 1.13.27 to 1.13.29)."""

DAEMON_MODULE = "dagster._daemon"
"""Runs the daemon: `dagster-daemon`, its public command, may not be on the path. Test:
tests/cli/up/test_up.py. When it breaks: the command's entry point, found by `importlib.metadata`."""


def run_webserver(guard: Callable[[ASGIApp], ASGIApp], routes: Sequence[BaseRoute]) -> None:
    """Run Dagster's webserver command behind middleware of ours, which sees every request first.

    Why: the command has no option for it, and serves every web page. Test: tests/cli/up/test_up.py,
    test_ui.py. When it breaks: `uvicorn.run` of the guarded `create_app_from_workspace_process_context`.

    Args:
        guard: The middleware.
        routes: Answered before Dagster's own.
    """
    from dagster_webserver import app, cli
    from starlette.middleware import Middleware

    class GuardedWebserver(app.DagsterWebserver):
        def build_middleware(self) -> list[Middleware]:
            return [Middleware(guard), *super().build_middleware()]

        def build_routes(self) -> list[BaseRoute]:
            return [*routes, *super().build_routes()]

    app.DagsterWebserver = GuardedWebserver  # ty: ignore[invalid-assignment]
    cli.main()


# An instance from a folder, with settings of this process
#
# Why: `DagsterInstance.get` takes all settings from dagster.yaml, which is the services' too; steps in a
# terminal must print to it. Test: tests/defs/test_instance.py. When it breaks: give this process a folder of
# its own, with a dagster.yaml that names the other one's storage.

# Keeping a step's output means two more processes a step, which also get the terminal's Ctrl-C.
_OWN_TERMINAL = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}


WRONG_CONFIGURATION = (CheckError, dg.DagsterError)
"""What `open_folder` raises where dagster.yaml is YAML, but not of an instance."""


def open_folder(folder: Path) -> dg.DagsterInstance:
    """Open the instance of a folder; what steps print in this process goes to its terminal."""
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder), overrides=_OWN_TERMINAL))


def has_code_server(run: dg.DagsterRun) -> bool:
    """Return whether a code server has launched the run: it is named in a hidden tag.

    Why: no public field says it. Test: tests/defs/test_instance.py. When it breaks: tag such runs where they
    begin, by a variable of the code server's environment.
    """
    return GRPC_INFO_TAG in run.tags


def code_server_answers(socket: Path) -> bool:
    """Return whether the code server at a socket has loaded the definitions.

    Why: there is no public client. Test: tests/cli/up/test_up.py. When it breaks: `dagster api
    grpc-health-check --socket`, which takes a second for its imports.
    """
    from dagster._grpc.client import DagsterGrpcClient

    try:
        DagsterGrpcClient(socket=str(socket)).ping("")
    except DagsterUserCodeUnreachableError:
        return False
    return True


# A launch that is refused before there is a run
#
# Why: Dagster's types know no bounds of numbers, and nothing of values that must go together; what a resource
# finds out by itself, it finds out when the run has begun. Mapping the configuration is part of planning the
# run, in the code server. Test: tests/defs/test_launch_options.py. When it breaks: raise in
# `setup_for_execution`, by which the run fails before its first step.


class CheckedResource(dg.ConfigurableResource):
    """A resource that looks at a launch's whole configuration before the run is created."""

    @abstractmethod
    def problem_with(self, config: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a configuration that has the right types; None where it may run."""

    @cached_method
    def get_resource_definition(self) -> ConfigurableResourceFactoryResourceDefinition:
        """Return the definition that Dagster makes of the resource, with the check."""
        made = super().get_resource_definition()
        return _CheckedDefinition(
            type(self),
            resource_fn=made.resource_fn,
            config_schema=made.config_schema,
            description=made.description,
            nested_resources=made.nested_resources,
            nested_partial_resources=made.nested_partial_resources,
            problem_with=self.problem_with,
        )


class _CheckedDefinition(ConfigurableResourceFactoryResourceDefinition):
    def __init__(
        self, *made: Any, problem_with: Callable[[Mapping[str, Any]], str | None], **named: Any
    ) -> None:
        super().__init__(*made, **named)
        self._problem_with = problem_with

    def apply_config_mapping(self, config: Any) -> EvaluateValueResult:
        if problem := self._problem_with(config.get("config") or {}):
            raise dg.DagsterInvalidConfigError(problem, [], config)
        return super().apply_config_mapping(config)


# Ticks that count, and those that a user only tries
#
# Why: "Test schedule" and "Test sensor" evaluate the same function, and Dagster doesn't tell it. The daemon's
# ticks have the tick's number at the end of their log's key; a tick that is tried gets the time there. Test:
# tests/defs/test_dry_runs.py. When it breaks: launch and send in runs that the ticks request.


def is_dry_run(
    context: dg.SensorEvaluationContext
    | dg.ScheduleEvaluationContext
    | dg.RunFailureSensorContext
    | dg.AutomationContext,
) -> bool:
    """Return whether a user only tries a sensor or schedule, so that nothing may come of the tick."""
    if isinstance(context, dg.SensorEvaluationContext | dg.ScheduleEvaluationContext):
        key = context.log_key  # asking for the log would make a file of it
    else:
        log = context._root_log if isinstance(context, dg.AutomationContext) else context.log
        key = getattr(log, "_log_key", None)
    return bool(key) and not key[-1].isdecimal()


# Where a job is defined
#
# Why: by it the UI can tell that a run belongs to the job, and launch it again; no public name gives it for
# the services' code location. Test: tests/defs/test_instance.py. When it breaks: runs of a terminal without
# it, which can't be launched again from the UI.

REPOSITORY = "__repository__"
"""The name that Dagster gives to the one repository of a module with definitions."""


def job_origin(job: str) -> RemoteJobOrigin:
    """Return where a job is defined, as the services' code location has it."""
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=f"{LOCATION}.definitions")
    # The class fills in what its base declares, in a way that no type checker sees.
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)  # ty: ignore[abstract-class-instantiation]
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, REPOSITORY), job)


# Provenance of what a step logs
#
# Why: by the versions of a materialization and of its inputs Dagster knows whether it is stale. It adds them
# to what a step returns, not to what a step logs for one of several partitions. Test:
# tests/defs/test_multi_run.py. When it breaks: adapt the tags' names; without them the UI calls every video
# of a multi-run fresh for ever, and `yivideo backfill --stale` still finds the stale ones by the ledger.

_UNKNOWN_VERSION = "INITIAL"
"""What Dagster takes for the version of an asset that was never materialized."""


def read_input_tags(instance: dg.DagsterInstance, stage: str, key: str) -> dict[str, str]:
    """Return the tags that name the inputs of a stage for a video; to be called before it reads them."""
    tags: dict[str, str] = {}
    for upstream in STAGES[stage].upstream:
        asset = dg.AssetKey(upstream)
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset, asset_partitions=[key]), limit=1
        ).records
        made = found[0].asset_materialization if found else None
        version = made.tags.get(DATA_VERSION_TAG) if made and made.tags else None
        tags[get_input_data_version_tag(asset)] = version or _UNKNOWN_VERSION
        tags[get_input_event_pointer_tag(asset)] = str(found[0].storage_id) if found else NULL_EVENT_POINTER
    return tags


def provenance_tags(stage: str, inputs: Mapping[str, str], data_version: str) -> dict[str, str]:
    """Return the tags of a materialization.

    Args:
        stage: The stage that made it.
        inputs: Of `read_input_tags`.
        data_version: Of what was made.
    """
    return {
        CODE_VERSION_TAG: STAGES[stage].code_version,
        DATA_VERSION_TAG: data_version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        **inputs,
    }


def silent_output() -> dg.MaterializeResult:
    """Return an output by which the next steps run, and which materializes nothing.

    Why: Dagster takes the output of a step for a materialization of every partition of its run, and skips all
    steps after one without an output. Between the two is a mark that Dagster keeps for observed source
    assets. Test: tests/defs/test_multi_run.py. When it breaks: a step of its own for each video, by
    `BackfillPolicy.multi_run(1)`, which loads the model for each.
    """
    return dg.MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def target_of(record: dg.EventLogRecord) -> AssetCheckEvaluationTargetMaterializationData:
    """Return what makes a check's evaluation point to a materialization.

    Why: Dagster does not export the type. Test: tests/defs/checks/test_check_events.py. When it breaks: leave
    it out; the UI then shows evaluations without their materialization.
    """
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
    )


# Which videos were to be made and were not
#
# Why: Dagster has a method for one asset (`get_latest_asset_partition_materialization_attempts_without_
# materializations`); for five assets of 20,000 partitions it takes 3 s, this query 0.4 s. Test:
# tests/defs/backfills/test_library_state.py holds it against that method. When it breaks: that method.

_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value
_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION.value


def open_attempts(instance: dg.DagsterInstance, stages: Collection[str]) -> set[tuple[str, str]]:
    """Return (key, run id) where a run was the last to plan a stage of a video and has not made it.

    The run may be queued, running, or at its end.
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


# Whether a failed run is one that Dagster launches again
#
# Why: the tag that says so turns to "false" when Dagster gives a retry up at an error. Test:
# tests/defs/sensors/test_lost_runs.py. When it breaks: count the runs with the same root.


def may_be_retried(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return whether Dagster's rules have a failed run launched again."""
    if backfill_id := run.tags.get(BACKFILL_ID_TAG):
        backfill = instance.get_backfill(backfill_id)
        if backfill is None or backfill.status in BULK_ACTION_TERMINAL_STATUSES:
            return False
    why = run.tags.get(RUN_FAILURE_REASON_TAG)
    reason = RunFailureReason(why) if why else None
    return instance.run_retries_enabled and auto_reexecution_should_retry_run(instance, run, reason)


# Backfills
#
# Why: Dagster has no public way to launch one from a schedule or a command, nor to find those that are not
# finished. Test: tests/defs/backfills/test_backfill_launch.py. When it breaks: GraphQL, by
# `launchPartitionBackfill` and `partitionBackfillsOrError`, for which the webserver has to run.

LONGEST_BACKFILL_ID = 32
"""The most characters that Dagster's table has room for."""
_UNFINISHED_BACKFILLS = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]


def add_backfill(
    instance: dg.DagsterInstance,
    backfill_id: str,
    keys: Iterable[str],
    stages: Sequence[str],
    tags: Mapping[str, str],
    title: str,
    description: str,
) -> None:
    """Add a backfill of some stages of some videos, for the daemon to take up."""
    subset = videos.subset_with_partition_keys(keys)
    instance.add_backfill(
        PartitionBackfill.from_asset_graph_subset(
            backfill_id=backfill_id,
            backfill_timestamp=time.time(),
            tags=dict(tags),
            dynamic_partitions_store=instance,
            asset_graph_subset=AssetGraphSubset({dg.AssetKey(stage): subset for stage in stages}),
            title=title,
            description=description,
            run_config=None,
        )
    )


def unfinished_backfills(instance: dg.DagsterInstance) -> Sequence[PartitionBackfill]:
    """Return the backfills that are not at their end, the UI's too."""
    return instance.get_backfills(filters=BulkActionsFilter(statuses=_UNFINISHED_BACKFILLS))


def videos_left(backfill: PartitionBackfill) -> set[str]:
    """Return the videos that a backfill has still to do."""
    if backfill.asset_backfill_data is None:  # of the job, not of the assets: it counts as a whole
        return set(backfill.partition_names or ())
    left = backfill.asset_backfill_data.get_targeted_partitions_without_materialization_status()
    return {
        key
        for asset, subset in left.partitions_subsets_by_asset_key.items()
        if asset.to_user_string() in STAGES
        for key in subset.get_partition_keys()
    }


def cancel_unbegun(instance: dg.DagsterInstance, backfill: PartitionBackfill) -> bool:
    """Cancel a backfill of which no run was requested yet; return whether that was so."""
    data = backfill.asset_backfill_data
    unbegun = data is not None and data.requested_subset.is_empty
    if not unbegun or backfill.status != BulkActionStatus.REQUESTED:
        return False
    instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELING))
    return True
