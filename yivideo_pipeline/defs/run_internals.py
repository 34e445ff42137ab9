"""Where runs are executed, as far as that takes Dagster's private names; `dagster_internals` says what for.

`JobDefinition.execute_in_process`, the public way to run a job in this process, leaves out where the job is
defined and replaces its executor; the UI then can't tell that the run belongs to the job, and can't launch it
again. Test: tests/defs/test_instance.py. When it breaks: `execute_in_process`, without launching again from
the UI.
"""

import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from yivideo_pipeline.defs.dagster_internals import REPOSITORY, job_origin
from yivideo_pipeline.stages import LOCATION, RANGE_TAGS


@dataclass(frozen=True)
class EndedRun:
    """A run that this process has executed: its events, and whether the user stopped it."""

    run_id: str
    events: Sequence[dg.DagsterEvent]
    interrupted: bool


def run_in_process(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    keys: Sequence[str],
    run_config: Mapping[str, Any],
    tags: Mapping[str, str],
) -> EndedRun:
    """Run a job for one partition, or for several that follow each other; a failed step does not raise.

    Raises:
        DagsterInvalidConfigError: the run's configuration does not fit the job; no run is recorded.
        KeyboardInterrupt: the user asked to stop before the run began.
    """
    if len(keys) == 1:
        partitions = {"dagster/partition": keys[0]}
    else:
        partitions = dict(zip(RANGE_TAGS, (keys[0], keys[-1]), strict=True))
    run = instance.create_run_for_job(
        job_def=job,
        run_config=run_config,
        tags={**tags, **partitions, ".dagster/repository": f"{REPOSITORY}@{LOCATION}"},
        remote_job_origin=job_origin(job.name),
    )
    result = execute_run(InMemoryJob(job), run, instance)
    # Dagster swallows the interruption once it has recorded it.
    ended = instance.get_run_by_id(run.run_id)
    interrupted = ended is not None and ended.status == dg.DagsterRunStatus.CANCELED
    return EndedRun(run.run_id, result.all_events, interrupted)


# Runs that need not import Dagster
#
# Why: Dagster's code server starts a fresh interpreter for each run, which then imports Dagster and the
# pipeline: 2 s of processor time. Its steps can be forked from a process that has imported all already, by an
# option of an executor; its runs can't. Test: tests/cli/up/test_pipeline.py. When it breaks: `dagster api
# grpc`, with which all is as before, but slower.

PRELOADED = (
    "dagster._grpc.impl",
    "yivideo_pipeline.defs.composition",
    "yivideo_pipeline.defs.resources",
    "yivideo_pipeline.defs.sqlite_storage",
    "yivideo_pipeline.media.decode",
    "yivideo_pipeline.media.images",
)
"""What each run imports. Settings are read and definitions are built in the run itself, so that it sees what
they are then."""


def run_code_server(arguments: Sequence[str]) -> None:
    """Run Dagster's code server, whose runs are forked from a process that has imported what they need.

    Args:
        arguments: Those of `dagster api grpc`.
    """
    from dagster._cli.api import grpc_command
    from dagster._grpc import server

    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(list(PRELOADED))

    class ForkingServer(server.DagsterApiServer):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self._mp_ctx = forks
            forkserver.ensure_running()  # the first run need not wait for it

    server.DagsterApiServer = ForkingServer  # ty: ignore[invalid-assignment]
    grpc_command.main(list(arguments))
