"""The ledger's database: its tables, and how it is opened."""

from pathlib import Path

from sqlalchemy import Engine, MetaData, create_engine, event

FILE = "library.db"
PATIENCE_S = 30
"""Several processes write: each waits so long for the others."""

tables = MetaData()
"""Each module of this package adds its own tables."""


def open_ledger(home: Path) -> Engine:
    """Open the ledger under the home folder, made on first use, for any number of threads and processes.

    Raises:
        sqlalchemy.exc.OperationalError: the folder can't be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{home / FILE}", connect_args={"timeout": PATIENCE_S})

    @event.listens_for(engine, "connect")
    def prepare(connection, _record) -> None:  # noqa: ANN001 - SQLAlchemy's
        # Readers do not wait for a writer, and a commit does not wait for the disk: after a power cut the
        # last entries may be missing, but the file is whole.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    tables.create_all(engine)
    return engine
