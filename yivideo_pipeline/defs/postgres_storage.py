"""Dagster's PostgreSQL storage on the one pool of connections that a process has, which the ledger uses too.

dagster-postgres opens a connection for each statement: to store an event took 7.0 ms of processor time on
both sides together, and takes 1.3 ms here. In the webserver it keeps three connections with a time limit, and
with pgbouncer in transaction mode that limit would hold for whoever gets the server's connection next. Tables
and statements stay Dagster's own.

Why private names: the pool of a storage can't be chosen. `dagster.yaml` names `VideoInstance`, which names
this class where `storage.database_url` is set; tests: tests/defs/test_postgres_storage.py. When it breaks:
`storage: {postgres: {postgres_url: {env: YIVIDEO_STORAGE__DATABASE_URL}}}` in dagster.yaml.
"""

from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from pydantic import SecretStr
from sqlalchemy import Engine, delete, func, inspect, or_, select

from yivideo_pipeline.defs.pool_claims import PatientClaims
from yivideo_pipeline.defs.queued_runs import RememberedRuns
from yivideo_pipeline.ledger.postgres import open_pool

_MAIN_TABLES = {"runs", "event_logs", "jobs"}
"""One of each storage; Dagster makes all tables of a storage where this one is missing."""


_MESSAGES = (
    "ENGINE_EVENT", "STEP_START", "STEP_SUCCESS", "STEP_INPUT", "STEP_OUTPUT", "LOADED_INPUT",
    "HANDLED_OUTPUT", "LOGS_CAPTURED", "RESOURCE_INIT_STARTED", "RESOURCE_INIT_SUCCESS",
    "STEP_WORKER_STARTING", "STEP_WORKER_STARTED",
)  # fmt: skip
"""Events that only the page of their run shows; messages have no type."""
_AT_ONCE = 20_000
"""Events that are looked at before the next commit."""


def remove_run_events(url: SecretStr, before: float, after_id: int) -> tuple[int, int]:
    """Remove the messages of old runs; what is known of runs, assets and checks stays.

    It reads on from a number, since there is no index of the times.

    Args:
        url: The database's address.
        before: Of the time before this, in Unix seconds.
        after_id: The number of the event up to which all was looked at.

    Returns:
        The number for the next call, the same where nothing further is old; and how many were removed.
    """
    event = Events.c
    old = event.timestamp < datetime.fromtimestamp(before, UTC).replace(tzinfo=None)
    is_message = or_(event.dagster_event_type.is_(None), event.dagster_event_type.in_(_MESSAGES))
    next_ones = select(event.id).where(event.id > after_id).order_by(event.id).limit(_AT_ONCE)
    with open_pool(url).begin() as connection:
        last = connection.scalar(select(func.max(event.id)).where(event.id.in_(next_ones), old))
        if last is None:
            return after_id, 0
        mine = event.id.between(after_id + 1, last)
        return last, connection.execute(delete(Events).where(mine, old, is_message)).rowcount


class _Pooled:  # before Dagster's class, whose method it replaces
    """A storage on a pool that is not its own."""

    _engine: Engine

    def optimize_for_webserver(self, statement_timeout: int, pool_recycle: int, max_overflow: int) -> None:
        """Leave the pool as it is."""


class _PooledRunStorage(_Pooled, RememberedRuns, PostgresRunStorage): ...


class _PooledEventLogStorage(_Pooled, PatientClaims, PostgresEventLogStorage):  # ty: ignore[incompatible-method-override]
    def has_table(self, table_name: str) -> bool:
        # Asked for each event of an asset, on a second connection within a transaction.
        if table_name not in self._tables:
            if not super().has_table(table_name):
                return False
            self._tables.add(table_name)
        return True

    @cached_property
    def _tables(self) -> set[str]:
        return set()


class _PooledScheduleStorage(_Pooled, PostgresScheduleStorage): ...


class PooledPostgresStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage on the process's pool; the tables are the same.

    Args:
        url: The database's address.
        inst_data: How the storage was configured, as Dagster hands it over.

    Raises:
        ServiceUnreachable: The database does not answer.
    """

    def __init__(self, url: SecretStr, inst_data: ConfigurableClassData | None = None) -> None:
        pool = open_pool(url, patient=True)
        self.postgres_url = url.get_secret_value()
        self.should_autocreate_tables = not _MAIN_TABLES.issubset(inspect(pool).get_table_names())
        self._inst_data = inst_data
        given = (self.postgres_url, self.should_autocreate_tables)
        self._run_storage = _PooledRunStorage(*given)
        self._event_log_storage = _PooledEventLogStorage(*given)
        self._schedule_storage = _PooledScheduleStorage(*given)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = pool.execution_options(isolation_level="AUTOCOMMIT")
        DagsterStorage.__init__(self)  # not its own, which would open Dagster's three storages

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Open the storage as the instance configures it."""
        return cls(SecretStr(config_value["postgres_url"]), inst_data)
