"""Runs a job in this process so that Dagster's UI knows the run as one of its own job's.

`JobDefinition.execute_in_process`, the public way, leaves out where the job is defined and swaps its
executor: the UI then can't tell that the run belongs to the job, and can't launch it again. So this goes
one level deeper, through names that Dagster does not promise to keep; `tests/defs/test_instance.py`
says what must hold.
"""

import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from yivideo_pipeline.stages import LOCATION

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
