"""The ledger's database: its tables, and how it is opened."""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from sqlalchemy import Engine, MetaData, NullPool, create_engine, event
from sqlalchemy.schema import CreateIndex, CreateTable

import yivideo_pipeline.ledger as package

FILE = "library.db"
PATIENCE_S = 30
"""Several processes write: each waits so long for the others."""

tables = MetaData()
"""Each module of this package adds its own tables; `open_ledger` makes those of all of them."""


def open_ledger(home: Path) -> Engine:
    """Open the ledger under the home folder, made on first use, for any number of threads and processes.

    Raises:
        sqlalchemy.exc.OperationalError: the folder can't be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    # A file is opened in no time: no connection stays open between two uses, or is inherited by a child.
    engine = create_engine(
        f"sqlite:///{home / FILE}", connect_args={"timeout": PATIENCE_S}, poolclass=NullPool
    )

    @event.listens_for(engine, "connect")
    def prepare(connection, _record) -> None:  # noqa: ANN001 - SQLAlchemy's
        # Readers do not wait for a writer, and a commit does not wait for the disk: after a power cut the
        # last entries may be missing, but the file is whole.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    with engine.begin() as connection:
        for table in tables.sorted_tables:  # two processes may be the first at the same time
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
    return engine
