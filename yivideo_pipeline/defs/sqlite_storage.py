"""Dagster's SQLite storage with one kept connection a file: what it stores and where stays as it was.

Dagster 1.13 opens and closes a file for each statement. To close the last connection of a file in WAL mode
copies its log into it, and each commit waits for the disk: 0.5 s of processor time for a video in which
nothing had to be made. Here a connection stays open for the next statement, and a commit waits for the disk
only when the log is copied, so that a power failure may cost the last events, but never damages a file
(https://www.sqlite.org/pragma.html#pragma_synchronous).

Why private names: there is no public class to derive from. `dagster.yaml` names `VideoInstance`; tests:
tests/defs/test_sqlite_storage.py. When it breaks: remove `instance_class` from dagster.yaml, and all is as
before, but slower.
"""

import shutil
from collections import OrderedDict
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

import dagster as dg
from dagster._core.instance.config import ConcurrencyConfig
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event, inspect, text
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

from yivideo_pipeline.defs.pool_claims import PatientClaims
from yivideo_pipeline.defs.queued_runs import RememberedRuns
from yivideo_pipeline.history.instance import is_paused
from yivideo_pipeline.settings.database import VARIABLE, find_database

RUNS_KEPT_OPEN = 8
"""Event logs of as many runs stay open in a process; a webserver reads thousands over the weeks."""


LOG_PAGE_BYTES = 1024
"""SQLite's pages in the log of a run, 4096 by default: each of its 25 tables and indexes takes one at least.
An empty log has 32 kB in place of 115 kB, that of a video 196 kB in place of 279 kB."""


class VideoInstance(dg.DagsterInstance):
    """Dagster's instance with our storage where dagster.yaml names no other one.

    It is PostgreSQL where `storage.database_url` is set, else SQLite.
    """

    @classmethod
    def config_schema(cls) -> Mapping[str, Any]:
        """Return the fields of dagster.yaml that this class adds: none."""
        return {}

    @classmethod
    def config_defaults(cls, base_dir: str) -> Mapping[str, ConfigurableClassData | None]:
        """Return Dagster's defaults for an instance's folder, with this storage in place of its own."""
        defaults = InstanceRef.config_defaults(base_dir)
        storage = defaults["storage"]
        if storage is None:
            raise dg.DagsterInvariantViolationError("Dagster has no default storage")
        ours = ConfigurableClassData(__name__, KeptSqliteStorage.__name__, storage.config_yaml)
        if find_database(Path(base_dir).parent):
            url = f"postgres_url: {{env: {VARIABLE}}}\n"
            ours = ConfigurableClassData(f"{__package__}.postgres_storage", "PooledPostgresStorage", url)
        return {**defaults, "storage": ours}

    def get_concurrency_config(self) -> ConcurrencyConfig:
        """Return the limits of runs; while the queue is paused, none may begin."""
        config = super().get_concurrency_config()
        if config.run_queue_config is None or not is_paused(self):
            return config
        none_more = config.run_queue_config._replace(max_concurrent_runs=0)
        return ConcurrencyConfig(pool_config=config.pool_config, run_queue_config=none_more)

    def dispose(self) -> None:
        """Close all files; Dagster forgets the schedules', which it never kept open."""
        super().dispose()
        if self._schedule_storage is not None:
            self._schedule_storage.dispose()


def in_files(instance: dg.DagsterInstance) -> bool:
    """Return whether an instance keeps its runs in SQLite's files."""
    return isinstance(instance.run_storage, SqliteRunStorage)


def _open_engine(url: str, page_bytes: int | None = None) -> Engine:
    """Return an engine that keeps one idle connection, and opens as many as are needed at once.

    Args:
        url: The file.
        page_bytes: SQLite's page size, for a file that is new.
    """
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=-1,
        connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
    )
    if page_bytes:
        # Before all else: the first write fixes it.
        pages = f"PRAGMA page_size={page_bytes}"
        event.listen(engine, "connect", lambda connection, _: connection.execute(pages))
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=NORMAL"))
    return engine


def _has_tables(engine: Engine) -> bool:
    """Return whether Dagster made a file's tables; it marks them with a version when all are there."""
    with engine.connect() as connection:
        return inspect(connection).has_table("alembic_version") and bool(
            connection.scalar(text("SELECT count(*) FROM alembic_version"))
        )


class _KeptEventLogStorage(PatientClaims, SqliteEventLogStorage):
    def __init__(self, base_dir: str) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        # Without the suffix .db, or Dagster would take it for a run. Another version makes its own.
        self._empty_log = Path(base_dir) / f"empty-{dg.__version__}-{LOG_PAGE_BYTES}"
        super().__init__(base_dir)

    @contextmanager
    def _connect(self, shard: str) -> Generator[Connection]:
        with self._db_lock, self._engine_of(shard).begin() as connection:
            yield connection

    def _engine_of(self, shard: str) -> Engine:
        engine = self._engines.get(shard)
        if engine is None:
            if shard not in self._initialized_dbs:
                self._initialize(shard)
            engine = self._engines[shard] = _open_engine(self.conn_string_for_shard(shard))
        self._engines.move_to_end(shard)
        if len(self._engines) > RUNS_KEPT_OPEN + 1:
            oldest = next(name for name in self._engines if name != INDEX_SHARD_NAME)
            self._engines.pop(oldest).dispose()
        return engine

    def _initialize(self, shard: str) -> None:
        """Make the tables of a run's log where there are none: as a copy, in 2 ms in place of 60."""
        log = Path(self.path_for_shard(shard))
        if not log.exists():
            if not self._empty_log.exists():
                self._make_empty_log()
            with TemporaryDirectory(dir=self._base_dir) as folder:
                copy = shutil.copyfile(self._empty_log, Path(folder) / log.name)
                # A link never replaces a log that another process has begun. Where the file system has no
                # links, the tables are made below.
                with suppress(OSError):
                    log.hardlink_to(copy)
        engine = _open_engine(self.conn_string_for_shard(shard))
        if not _has_tables(engine):
            self._initdb(engine)
        engine.dispose()
        self._initialized_dbs.add(shard)

    def _make_empty_log(self) -> None:
        with TemporaryDirectory(dir=self._base_dir) as folder:
            made = Path(folder) / "empty.db"
            engine = _open_engine(f"sqlite:///{made}", LOG_PAGE_BYTES)
            self._initdb(engine)
            engine.dispose()
            made.replace(self._empty_log)

    def has_table(self, table_name: str) -> bool:
        # Asked for each event of an asset; tables are never dropped.
        if table_name not in self._tables:
            if not super().has_table(table_name):
                return False
            self._tables.add(table_name)
        return True

    def _close(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

    def wipe(self) -> None:
        self._close()
        super().wipe()

    def watch(self, run_id: str, cursor: str | None, callback: Any) -> None:
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        watchdog = _WalWatchdog(self, run_id, callback, cursor)
        watch = self._obs.schedule(watchdog, self._base_dir, recursive=True)
        self._watchers[run_id][callback] = (watchdog, watch)

    def dispose(self) -> None:
        super().dispose()
        self._close()


class _WalWatchdog(SqliteEventLogStorageWatchdog):
    """Calls back when a run has new events: while a file stays open they stand in the log beside it."""

    def __init__(self, storage: _KeptEventLogStorage, run_id: str, callback: Any, cursor: str | None) -> None:
        super().__init__(storage, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:
        self._process_log()


class _OneFile:
    """Keeps the connection of a storage whose tables are all in one file."""

    _conn_string: str

    @contextmanager
    def connect(self) -> Generator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @cached_property
    def _engine(self) -> Engine:
        return _open_engine(self._conn_string)

    def dispose(self) -> None:
        self._engine.dispose()


class _KeptRunStorage(_OneFile, RememberedRuns, SqliteRunStorage): ...


class _KeptScheduleStorage(_OneFile, SqliteScheduleStorage): ...  # ty: ignore[incompatible-method-override]


_KeptT = TypeVar("_KeptT", _KeptRunStorage, _KeptScheduleStorage)


def _open_storage(kind: type[_KeptT], folder: Path, name: str) -> _KeptT:
    """Open a storage of one file, whose tables Dagster makes where there are none.

    Dagster itself first reads all migrations, to see whether there are any tables: 25 ms for each storage.
    """
    kept = kind(create_db_conn_string(str(folder), name))
    if not ((folder / f"{name}.db").exists() and _has_tables(kept._engine)):
        kind.from_local(str(folder)).dispose()  # ty: ignore[invalid-argument-type]
    return kept


class KeptSqliteStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage whose files stay open between statements; the files are the same.

    Args:
        base_dir: The instance's folder.
        inst_data: How the storage was configured, as Dagster hands it over.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.base_dir = base_dir
        folder = Path(base_dir)
        self._run_storage = _open_storage(_KeptRunStorage, folder / "history", "runs")
        self._event_log_storage = _KeptEventLogStorage(str(folder / "history" / "runs"))
        self._schedule_storage = _open_storage(_KeptScheduleStorage, folder / "schedules", "schedules")
        self._inst_data = inst_data
        DagsterStorage.__init__(self)  # not its own, which would open Dagster's three storages

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> Self:
        """Open the storage as dagster.yaml configures it."""
        return cls.from_local(inst_data=inst_data, **config_value)
