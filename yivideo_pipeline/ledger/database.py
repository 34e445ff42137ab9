"""The ledger's database: the base of its tables, how it is opened, and the statements that need a dialect."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import SecretStr
from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Float,
    QueuePool,
    Select,
    StaticPool,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    event,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass, Session, class_mapper

from yivideo_pipeline.errors.tree import ConfigError, DiskError
from yivideo_pipeline.ledger.postgres import continue_numbers, describe, open_pool, require_usable, take_turn
from yivideo_pipeline.machine.databases import find_damage

FILE = "library.db"
PATIENCE_S = 30
"""Several processes write: each waits so long for the others."""
SCHEMA_VERSION = 7
"""Number of the last file in `migrations/versions`; raised together with a new one."""
_VERSION_TABLES = {"sqlite": "alembic_version", "postgresql": "yivideo_version"}
"""In PostgreSQL the ledger shares the database with Dagster, whose version is in `alembic_version`."""


class _PostgresText(TypeDecorator[str]):
    """A text without the character of code 0, which PostgreSQL refuses: messages of libraries may have it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return value.replace("\0", "\ufffd") if isinstance(value, str) else value


class Base(MappedAsDataclass, DeclarativeBase):
    """A table, and its rows as dataclasses; what a query returns stays usable when its session is closed."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's
        str: Text().with_variant(_PostgresText(), "postgresql"),
        float: Float,
    }


RowT = TypeVar("RowT", bound=Base)


def open_database(home: Path, url: SecretStr | None = None) -> Engine:
    """Open the ledger's database, for any number of threads and processes.

    Its tables are made on first use, and brought to this version's where an older version made them.

    Args:
        home: The home folder, in which the database is a file of SQLite's.
        url: The address of a PostgreSQL database in place of that file.

    Raises:
        ConfigError: a newer version of the program made it, or PostgreSQL's driver is missing.
        DiskError: the file is damaged.
        ServiceUnreachable: PostgreSQL does not answer.
        sqlalchemy.exc.OperationalError: the folder can't be written.
    """
    engine = _open_file(home) if url is None else open_pool(url)
    with engine.connect() as connection:
        version = read_version(connection)
    if version != SCHEMA_VERSION:
        with engine.connect() as connection:
            _bring_up_to_date(connection, str(home / FILE) if url is None else describe(url))
            connection.commit()
    return engine


def _open_file(home: Path) -> Engine:
    home.mkdir(parents=True, exist_ok=True)
    require_intact(home)
    # They stay open, for as many threads as work side by side: to open one takes 1 ms, and to close the last
    # one copies SQLite's log into the file, in 3 ms.
    engine = create_engine(
        f"sqlite:///{home / FILE}",
        connect_args={"timeout": PATIENCE_S},
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=-1,
    )
    event.listen(engine, "connect", _prepare)
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
        if source.dialect.name == "sqlite":
            connections = source.connection.driver_connection, target.connection.driver_connection
            cast(sqlite3.Connection, connections[0]).backup(cast(sqlite3.Connection, connections[1]))
        else:
            create_tables(target)
            copy_rows(source, target)
            target.commit()
    return copy


def copy_rows(source: Connection, target: Connection) -> Counter[str]:
    """Copy all rows into another database's empty tables, in the caller's transactions; returns how many."""
    copied: Counter[str] = Counter()
    for table in Base.metadata.sorted_tables:
        found = source.execution_options(yield_per=1000).execute(select(table))
        for rows in found.partitions():
            target.execute(insert(table), [row._asdict() for row in rows])
            copied[table.name] += len(rows)
    if target.dialect.name == "postgresql":
        continue_numbers(target, Base.metadata.sorted_tables)
    return copied


def _prepare(connection: Any, _record: Any) -> None:
    # Readers do not wait for a writer, and a commit does not wait for the disk: after a power cut the
    # last entries may be missing, but the file is whole.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    # SQLite's own knows the letters of ASCII alone.
    connection.create_function("lower", 1, str.lower, deterministic=True)


def read_version(connection: Connection) -> int | None:
    """Return the version of the tables; None where there are none, 1 where they are older than versions."""
    tables, version_table = inspect(connection).get_table_names(), version_table_of(connection)
    if version_table in tables:
        return int(connection.scalar(text(f"SELECT version_num FROM {version_table}")) or 1)
    return 1 if tables and connection.dialect.name == "sqlite" else None


def version_table_of(connection: Connection) -> str:
    """Return the table in which Alembic keeps the ledger's version."""
    return _VERSION_TABLES[connection.dialect.name]


def create_tables(connection: Connection) -> None:
    """Make all tables, as of this version, in the connection's transaction."""
    Base.metadata.create_all(connection)
    table = version_table_of(connection)
    connection.exec_driver_sql(f"CREATE TABLE {table} (version_num VARCHAR(32) PRIMARY KEY)")
    connection.exec_driver_sql(f"INSERT INTO {table} VALUES ('{SCHEMA_VERSION}')")


def _bring_up_to_date(connection: Connection, name: str) -> None:
    """Make or migrate all tables of a database in one transaction, which the caller commits."""
    # Of two processes that open the same database, the second waits here and finds the work done.
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    take_turn(connection, "tables")
    version = read_version(connection)
    if version is None:
        if connection.dialect.name == "postgresql":
            require_usable(connection, name)
        create_tables(connection)
    elif version > SCHEMA_VERSION:
        raise ConfigError(
            f"A newer yivideo wrote {name} (schema version {version}, this one knows up to "
            f"{SCHEMA_VERSION}): install that one again, or set YIVIDEO_HOME to another folder"
        )
    elif version < SCHEMA_VERSION:
        # Alembic takes a moment to import, and most processes find nothing to do.
        from yivideo_pipeline.ledger.migrations import migrate

        migrate(connection, version)


def upsert(connection: Connection, rows: Iterable[Base], kept: tuple[str, ...] = ()) -> None:
    """Insert rows of one table; where there is one of the same primary key, replace it.

    They are written in the order of their keys, so that two transactions never wait for each other.

    Args:
        connection: In the transaction that the caller has begun.
        rows: All of one class.
        kept: Columns that stay as they are in a row that is replaced.
    """
    if not (rows := list(rows)):
        return
    table = table_of(type(rows[0]))
    in_order = attrgetter(*(column.name for column in table.primary_key))
    statement = _upsert_statement(connection.dialect.name, table, kept)
    connection.execute(statement, list(_values(sorted(rows, key=in_order))))


def insert_missing(connection: Connection, rows: Iterable[Base]) -> None:
    """Insert those rows of one table that break none of its unique constraints; leave the others out."""
    if rows := list(rows):
        table = table_of(type(rows[0]))
        statement = _insert(connection.dialect.name, table).on_conflict_do_nothing()
        connection.execute(statement, list(_values(rows)))


def read_all(connection: Connection, model: type[RowT], *where: ColumnElement[bool]) -> Iterator[RowT]:
    """Yield rows of a table as objects that no session knows: for large tables, in half the time."""
    class_mapper(model)  # completes the class's attributes, which a session would do
    table = table_of(model)
    names = [column.name for column in table.columns]
    for values in connection.execute(select(table).where(*where)):
        row = model.__new__(model)
        row.__dict__.update(zip(names, values, strict=True))
        yield row


def table_of(model: type[Base]) -> Table:
    """Return the table of a class, for statements over columns in place of objects."""
    return cast(Table, model.__table__)


def values_of(row: Base) -> dict[str, Any]:
    """Return a row's values by column; a number that the database gives is left out."""
    return next(_values([row]))


def greatest(session: Session, *columns: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the greatest of some columns, none of which may be NULL."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return (func.max if is_sqlite else func.greatest)(*columns)


def members(session: Session, values: Collection[str]) -> Select:
    """Return a query for some values, to be compared with by `in_`: one parameter, however many they are."""
    listed = literal([*values], JSON)
    if session.get_bind().dialect.name == "sqlite":
        return select(func.json_each(listed).table_valued("value").c.value)
    return select(func.json_array_elements_text(listed))


def _values(rows: Sequence[Base]) -> Iterator[dict[str, Any]]:
    table = table_of(type(rows[0]))
    names = [column.name for column in table.columns if column is not table.autoincrement_column]
    for row in rows:
        known = vars(row)  # has all but defaults; asking for each attribute would take three times as long
        yield {name: known[name] if name in known else getattr(row, name) for name in names}


@cache  # to build it takes longer than to execute it
def _upsert_statement(dialect: str, table: Table, kept: tuple[str, ...]) -> Any:
    statement = _insert(dialect, table)
    changed = [c.name for c in table.columns if not c.primary_key and c.name not in kept]
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key), set_={name: statement.excluded[name] for name in changed}
    )


def _insert(dialect: str, table: Table) -> Any:
    """Return a dialect's own INSERT: its `ON CONFLICT` is no standard, but the same in PostgreSQL."""
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
