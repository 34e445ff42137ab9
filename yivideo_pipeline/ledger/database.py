"""The ledger's database: the base of its tables, how it is opened, and the statements that need a dialect."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import (
    Connection,
    Engine,
    Float,
    QueuePool,
    StaticPool,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass, class_mapper

from yivideo_pipeline.errors.tree import ConfigError, DiskError
from yivideo_pipeline.machine.databases import find_damage

FILE = "library.db"
PATIENCE_S = 30
"""Several processes write: each waits so long for the others."""
SCHEMA_VERSION = 4
"""Number of the last file in `migrations/versions`; raised together with a new one."""
VERSION_TABLE = "alembic_version"


class Base(MappedAsDataclass, DeclarativeBase):
    """A table, and its rows as dataclasses; what a query returns stays usable when its session is closed."""

    type_annotation_map = {str: Text, float: Float}  # noqa: RUF012 - SQLAlchemy's


RowT = TypeVar("RowT", bound=Base)


def open_database(home: Path) -> Engine:
    """Open the database under the home folder, for any number of threads and processes.

    It is made on first use, and brought to this version's tables where an older version made it.

    Raises:
        ConfigError: a newer version of the program made it.
        DiskError: it is damaged.
        sqlalchemy.exc.OperationalError: the folder can't be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    require_intact(home)
    # One connection stays open: to close the last one copies SQLite's log into the file, in 3 ms.
    engine = create_engine(
        f"sqlite:///{home / FILE}",
        connect_args={"timeout": PATIENCE_S},
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=-1,
    )
    event.listen(engine, "connect", _prepare)
    with engine.connect() as connection:
        version = _read_version(connection)
    if version != SCHEMA_VERSION:
        with engine.connect() as connection:
            _bring_up_to_date(connection, home)
            connection.commit()
    return engine


def require_intact(home: Path, *, everywhere: bool = False) -> None:
    """Check that the ledger's file, where there is one, is a database.

    Args:
        home: The home folder.
        everywhere: Whether all of the file is read, and not only its beginning.

    Raises:
        DiskError: it is damaged.
    """
    if damage := find_damage(home / FILE, everywhere=everywhere):
        raise DiskError(
            f"The ledger {home / FILE} is damaged ({damage})",
            "Move it away with its -wal and -shm files, and start again: files are scanned anew and finished"
            " results are found; failures, quarantine and figures in it are lost",
        )


def copy_database(engine: Engine) -> Engine:
    """Return a copy of the database in memory, which lasts as long as the engine."""
    copy = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
    with engine.connect() as source, copy.connect() as target:
        connections = source.connection.driver_connection, target.connection.driver_connection
        cast(sqlite3.Connection, connections[0]).backup(cast(sqlite3.Connection, connections[1]))
    return copy


def _prepare(connection: Any, _record: Any) -> None:
    # Readers do not wait for a writer, and a commit does not wait for the disk: after a power cut the
    # last entries may be missing, but the file is whole.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _read_version(connection: Connection) -> int | None:
    """Return the version of the tables; None where there are none, 1 where they are older than versions."""
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE in tables:
        return int(connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) or 1)
    return 1 if tables else None


def _bring_up_to_date(connection: Connection, home: Path) -> None:
    """Make or migrate all tables in one transaction, which the caller commits."""
    # Takes the lock at once: of two processes that open the same home, the second finds the work done.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    version = _read_version(connection)
    if version is None:
        Base.metadata.create_all(connection)
        connection.exec_driver_sql(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) PRIMARY KEY)")
        connection.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} VALUES ('{SCHEMA_VERSION}')")
    elif version > SCHEMA_VERSION:
        raise ConfigError(
            f"A newer yivideo wrote {home / FILE} (schema version {version}, this one knows up to "
            f"{SCHEMA_VERSION}): install that one again, or set YIVIDEO_HOME to another folder"
        )
    elif version < SCHEMA_VERSION:
        # Alembic takes a moment to import, and most processes find nothing to do.
        from yivideo_pipeline.ledger.migrations import migrate

        migrate(connection, version)


def upsert(connection: Connection, rows: Iterable[Base], kept: Collection[str] = ()) -> None:
    """Insert rows of one table; where there is one of the same primary key, replace it.

    Args:
        connection: In the transaction that the caller has begun.
        rows: All of one class.
        kept: Columns that stay as they are in a row that is replaced.
    """
    if not (rows := list(rows)):
        return
    table = table_of(type(rows[0]))
    statement = _insert(connection, table)
    changed = [c.name for c in table.columns if not c.primary_key and c.name not in kept]
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={name: statement.excluded[name] for name in changed}
        ),
        list(_values(rows)),
    )


def insert_missing(connection: Connection, rows: Iterable[Base]) -> None:
    """Insert those rows of one table that break none of its unique constraints; leave the others out."""
    if rows := list(rows):
        table = table_of(type(rows[0]))
        statement = _insert(connection, table).on_conflict_do_nothing()
        connection.execute(statement, list(_values(rows)))


def read_all(connection: Connection, model: type[RowT]) -> Iterator[RowT]:
    """Yield all rows of a table as objects that no session knows: for large tables, in half the time."""
    class_mapper(model)  # completes the class's attributes, which a session would do
    table = table_of(model)
    names = [column.name for column in table.columns]
    for values in connection.execute(select(table)):
        row = model.__new__(model)
        row.__dict__.update(zip(names, values, strict=True))
        yield row


def table_of(model: type[Base]) -> Table:
    """Return the table of a class, for statements over columns in place of objects."""
    return cast(Table, model.__table__)


def values_of(row: Base) -> dict[str, Any]:
    """Return a row's values by column; a number that the database gives is left out."""
    return next(_values([row]))


def _values(rows: Sequence[Base]) -> Iterator[dict[str, Any]]:
    table = table_of(type(rows[0]))
    names = [column.name for column in table.columns if column is not table.autoincrement_column]
    for row in rows:
        known = vars(row)  # has all but defaults; asking for each attribute would take three times as long
        yield {name: known[name] if name in known else getattr(row, name) for name in names}


def _insert(connection: Connection, table: Table) -> Any:
    """Return the dialect's own INSERT: its `ON CONFLICT` is no standard, but the same in PostgreSQL."""
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)
