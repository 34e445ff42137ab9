"""Dagster's instance, which stores runs and materializations: opened, limited, and cleaned of dead runs."""

import re
import socket
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import dagster as dg
import yaml
from pydantic import SecretStr

from yivideo_pipeline.defs.dagster_internals import WRONG_CONFIGURATION, has_code_server, open_folder
from yivideo_pipeline.defs.sqlite_storage import in_files
from yivideo_pipeline.errors.origin import explain
from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.history.instance import require_databases
from yivideo_pipeline.ledger.alive import is_gone
from yivideo_pipeline.ledger.postgres import open_pool
from yivideo_pipeline.ledger.workers import WorkerLedger
from yivideo_pipeline.settings.database import publish_database
from yivideo_pipeline.stages import GPU_POOL
from yivideo_pipeline.storage.file_store import scratch_folder

WORKER_TAG = ".dagster/yivideo-worker"
"""Host, process id and start time of the process that executes a run.

The prefix is Dagster's own for tags that its UI does not list, since users have no use for it.
"""

SERVED = 64
"""How many steps may use a service's model at the same time: it has slots and a queue of its own."""

_UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_GONE = "The process that ran it is gone: it was killed, or the machine went down"


def open_instance(home: Path, database: SecretStr | None = None) -> dg.DagsterInstance:
    """Open the persistent instance under the home folder, created on first use.

    The webserver and daemon of `yivideo up` use the same one, so that they show what ran here. What steps
    print in this process goes to its terminal, as progress bars must.

    Args:
        home: The home folder.
        database: The address of the PostgreSQL database that its storage is in; None: SQLite.

    Raises:
        ConfigError: its dagster.yaml can't be read, is wrong, or does not know of PostgreSQL.
        DiskError: a database of it is damaged.
        ServiceUnreachable: PostgreSQL does not answer.
    """
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    publish_database(database)
    if database:
        open_pool(database)  # what is wrong with it is said in one line
    else:
        require_databases(folder)
    config = folder / "dagster.yaml"
    if not config.exists():
        with scratch_folder(home / "tmp") as work:
            (work / config.name).write_bytes(_defaults())
            (work / config.name).replace(config)  # other programs may start now: none may read half
    try:
        instance = open_folder(folder)
    except (yaml.YAMLError, UnicodeError, *WRONG_CONFIGURATION) as error:
        raise ConfigError(
            explain(f"Dagster can't use {config}", error),
            "Correct it, or delete it: it is written again with the defaults",
        ) from error
    if database and in_files(instance):
        instance.dispose()
        raise ConfigError(
            f"{config} keeps runs in SQLite, though storage.database_url is set",
            "Delete it, and it is written again with the defaults; or give it a `storage:` of your own",
        )
    return instance


def has_older_defaults(home: Path) -> bool:
    """Return whether the instance's configuration was written by an earlier version with other defaults."""
    written = (home / "dagster" / "dagster.yaml").read_bytes()
    return _edition(written) < _edition(_defaults())


def limit_models(instance: dg.DagsterInstance, slots: int, *, raise_only: bool = False) -> None:
    """Limit how many steps use a model at the same time, over all runs.

    The settings decide at each start; a change in the UI holds until then. The limit can't be in
    dagster.yaml, which is the user's file once it is written, and which the settings don't know.

    Args:
        instance: Whose pool it is.
        slots: How many; `SERVED` where a service has the model, whose requests share batches.
        raise_only: Never lower the limit: `yivideo up` may be running with a service.
    """
    now = instance.event_log_storage.get_concurrency_info(GPU_POOL).slot_count
    if now < slots or (now > slots and not raise_only):
        instance.event_log_storage.set_concurrency_slots(GPU_POOL, slots)


def close_abandoned_runs(
    instance: dg.DagsterInstance, *, alone: bool = False, ledger: WorkerLedger | None = None
) -> list[str]:
    """End the runs whose process is gone; the arguments are those of `find_abandoned_runs`.

    Returns:
        The ids of the runs.
    """
    return close_runs(instance, find_abandoned_runs(instance, alone=alone, ledger=ledger))


def find_abandoned_runs(
    instance: dg.DagsterInstance, *, alone: bool = False, ledger: WorkerLedger | None = None
) -> list[dg.DagsterRun]:
    """Return the runs whose process is gone: a killed process can't end its run, which would keep its slot.

    Args:
        instance: Where the runs are recorded.
        alone: Whether no code server works on this instance, so that the runs that one launched are gone
            too. Otherwise they are left to their code server.
        ledger: Knows whether workers of other hosts live, where the instance is shared with other hosts.
    """
    unfinished = instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
    return [run for run in unfinished if _is_abandoned(run, alone, ledger)]


def close_runs(instance: dg.DagsterInstance, abandoned: Sequence[dg.DagsterRun]) -> list[str]:
    """End abandoned runs that nobody has taken up since they were found; returns their ids.

    Dagster retries runs that failed for this reason, as far as their tags allow; a run that was being
    canceled is canceled. Queued runs go on by themselves.
    """
    closed = []
    for run in (
        instance.get_runs(dg.RunsFilter(run_ids=[one.run_id for one in abandoned])) if abandoned else ()
    ):
        if run.status not in _UNFINISHED:
            continue
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, _GONE)
        else:
            instance.report_run_failed(run, _GONE)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        closed.append(run.run_id)
    return closed


def _is_abandoned(run: dg.DagsterRun, alone: bool, ledger: WorkerLedger | None) -> bool:
    # A run is tagged with its code server soon after its start was requested; until then a retry has the
    # worker of its parent, since it has its parent's tags.
    launched = has_code_server(run) or run.status == dg.DagsterRunStatus.STARTING
    if launched and not alone:
        return False
    worker = run.tags.get(WORKER_TAG, "")
    if worker.startswith(f"{socket.gethostname()}:"):
        return is_gone(worker)
    if worker and ledger is not None:
        return ledger.is_gone(worker)
    return launched  # of this host, which is a container with another name at each start


def _defaults() -> bytes:
    return files("yivideo_pipeline.defs").joinpath("dagster.yaml").read_bytes()


def _edition(config: bytes) -> int:
    found = re.search(rb"^#.* Edition (\d+)\.$", config, re.MULTILINE)
    # A file without one is the first edition, or the user's own.
    return int(found.group(1)) if found else 1
