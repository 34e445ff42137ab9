"""PostgreSQL in place of SQLite's files: one pool of connections a process, for the ledger and for Dagster.

A host has a dozen processes, and a server some hundred connections: so a process keeps one and opens a few
more for moments. All works through pgbouncer in transaction mode, where the next transaction may have another
connection of the server's: nothing is set for a session, and locks end with their transaction.
"""

import zlib
from functools import cache
from importlib.util import find_spec

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, func, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from yivideo_pipeline.errors.origin import explain
from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable

KEPT, MOST = 1, 8
"""Connections that a process keeps, and the most that it has at once; further threads wait for their turn."""
CONNECT_TIMEOUT_S = 10
_HINT = "Start it, or correct storage.database_url"


def open_pool(url: SecretStr) -> Engine:
    """Return the engine of a database: the same for all in this process that name it.

    A connection is tried before it is lent, so that a restart of the server is not noticed by the next user.

    Raises:
        ConfigError: The extra `postgres` is not installed, or the address has unknown parts.
        ServiceUnreachable: The database does not answer, or refuses the user.
    """
    if find_spec("psycopg2") is None:
        raise ConfigError(
            "storage.database_url needs PostgreSQL's driver, which is not installed",
            "pip install 'yivideo-pipeline[postgres]'",
        )
    try:
        engine = _pool(url.get_secret_value())
        with engine.connect():
            return engine
    except ArgumentError as error:
        raise ConfigError(explain("storage.database_url can't be used", error)) from None
    except SQLAlchemyError as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        raise ServiceUnreachable(
            explain(f"The database {describe(url)} can't be used", cause), _HINT
        ) from None


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


@cache
def _pool(url: str) -> Engine:
    return create_engine(
        url,
        pool_size=KEPT,
        max_overflow=MOST - KEPT,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "yivideo"},
    )
