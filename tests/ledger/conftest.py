import pytest
from sqlalchemy import text

from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.database import Base
from yivideo_pipeline.ledger.postgres import open_pool


@pytest.fixture(scope="session")
def shared_database(postgres):
    """One database for all tests of this process: to make one takes longer than most of them."""
    return postgres.make_database()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request):
    """The address of an empty PostgreSQL database; None: SQLite, in a file of the home folder."""
    if request.param == "sqlite":
        yield None
        return
    url = request.getfixturevalue("shared_database")
    yield url
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with open_pool(url).begin() as connection:
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))


@pytest.fixture
def ledger(home, database):
    """The ledger of an empty home."""
    ledger = open_ledger(home, database)
    yield ledger
    ledger.engine.dispose()
