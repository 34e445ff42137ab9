"""PostgreSQL in place of SQLite's files: one pool of connections a process, for the ledger and for Dagster.

A host has a dozen processes, and a server some hundred connections: so a process keeps one and opens a few
more for moments. All works through pgbouncer in transaction mode, where the next transaction may have another
connection of the server's: nothing is set for a session, and locks end with their transaction.

A server that has answered once is waited for when it does not any more: it is being started again.
"""

import os
import re
import zlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Dialect, Engine, Table, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from yivideo_pipeline.errors.origin import explain
from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable

KEPT, MOST = 1, 8
"""Connections that a process keeps, and the most that it has at once; further threads wait for their turn."""
CONNECT_TIMEOUT_S = 10
PATIENCE_S = 20
"""How long a server is waited for."""
_REFUSED = re.compile("authentication failed|does not exist|no pg_hba.conf entry|invalid dsn")
"""What a server says that is there, and will say again."""


def open_pool(url: SecretStr, *, patient: bool = False) -> Engine:
    """Return the engine of a database: the same for all in this process that name it.

    A connection is tried before it is lent, so that a restart of the server is not noticed by the next user.

    Args:
        url: The database's address.
        patient: Whether to wait for a server that was never seen: another program has seen it.

    Raises:
        ConfigError: The extra `postgres` is not installed, or the address has unknown parts.
        ServiceUnreachable: The database does not answer, or refuses the user.
    """
    if find_spec("psycopg2") is None:
        raise ConfigError(
            "storage.database_url needs PostgreSQL's driver, which is not installed",
            "pip install 'yivideo-pipeline[postgres]'",
        )
    with _explained(url):
        engine, connector = _pool(url.get_secret_value())
        connector.is_patient |= patient
        with engine.connect():
            return engine


def require_answer(url: SecretStr) -> None:
    """Raise at once where a database does not answer now: the pool would wait for one that it has seen.

    Raises:
        ConfigError: As `open_pool`.
        ServiceUnreachable: Likewise.
    """
    with _explained(url):
        probe, _ = _make_pool(url.get_secret_value())
        with probe.connect():
            pass
        probe.dispose()


@contextmanager
def _explained(url: SecretStr) -> Generator[None]:
    """Say in one line, without the password, why a database can't be used."""
    try:
        yield
    except ArgumentError as error:
        raise ConfigError(explain("storage.database_url can't be used", error)) from None
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        message = explain(f"The database {describe(url)} can't be used", cause)
        raise ServiceUnreachable(message, "Start it, or correct storage.database_url") from None


def describe(url: SecretStr) -> str:
    """Return a database's host, port and name, without user and password."""
    known = make_url(url.get_secret_value())
    host = known.host or known.query.get("host") or "localhost"
    return f"{host}:{known.port or 5432}/{known.database}"


def take_turn(connection: Connection, name: str) -> None:
    """Wait until no other transaction has the turn of this name, and keep it to this transaction's end.

    SQLite needs none: there is one writer at a time.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(zlib.crc32(name.encode()))))


def require_usable(connection: Connection, name: str) -> None:
    """Check that tables can be made in a database, and hold any text.

    Raises:
        ConfigError: They can't.
    """
    encoding = connection.scalar(text("SHOW server_encoding"))
    may_create = connection.scalar(text("SELECT has_schema_privilege(current_schema(), 'CREATE')"))
    if encoding != "UTF8" or not may_create:
        problem = "its user may make no tables in it" if encoding == "UTF8" else f"its encoding is {encoding}"
        raise ConfigError(
            f"The database {name} can't be used: {problem}",
            "CREATE DATABASE … OWNER … TEMPLATE template0 ENCODING 'UTF8' makes one that can",
        )


def continue_numbers(connection: Connection, tables: Iterable[Table]) -> None:
    """Let the numbers that PostgreSQL gives go on after those of rows that were copied."""
    for table in tables:
        column = table.autoincrement_column
        if column is not None:
            last = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(select(func.setval(sequence, last, False)))


class _Connector:
    """Connects to a server, and waits for one that is being started."""

    def __init__(self) -> None:
        self.is_patient = False

    def __call__(self, dialect: Dialect, _record: Any, given: Any, named: Any) -> Any:
        """Return a connection that has answered: behind pgbouncer the server may still be missing."""
        # Not at the top: commands on SQLite start sooner without it.
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

        attempts = Retrying(
            retry=retry_if_exception(self._may_pass),
            stop=stop_after_delay(PATIENCE_S),
            wait=wait_random_exponential(0.1, max=2),
            reraise=True,
        )
        connection = attempts(self._connect, dialect, given, named)
        self.is_patient = True
        return connection

    def _may_pass(self, error: BaseException) -> bool:
        is_known = not isinstance(error, Exception) or _REFUSED.search(str(error))
        return self.is_patient and not is_known

    def _connect(self, dialect: Dialect, given: Any, named: Any) -> Any:
        connection = dialect.connect(*given, **named)
        try:
            dialect.do_ping(connection)
        except Exception:
            connection.close()
            raise
        return connection


def _make_pool(url: str) -> tuple[Engine, _Connector]:
    # Dagster takes the time of a row from the server, and takes it for UTC. Only this variable sets the zone
    # when a connection is made, which pgbouncer then sees to.
    os.environ["PGTZ"] = "UTC"
    engine = create_engine(
        url,
        pool_size=KEPT,
        max_overflow=MOST - KEPT,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "yivideo"},
    )
    connector = _Connector()
    event.listen(engine, "do_connect", connector)
    return engine, connector


_pool = cache(_make_pool)
