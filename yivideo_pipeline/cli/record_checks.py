"""Checks of `yivideo doctor` on what is kept: the ledger and Dagster's history, in files or in PostgreSQL."""

from collections.abc import Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from pydantic import SecretStr

from yivideo_pipeline.cli.findings import Check, CheckFinding
from yivideo_pipeline.settings.settings import Settings


def list_record_checks(settings: Settings) -> list[tuple[str, Check]]:
    """Return the checks by name: of SQLite's files each for itself, of a database one after the other."""
    home, url = settings.home, settings.storage.read_database_url()
    if url:
        return [("database", partial(check_database, home, url))]
    return [("ledger", partial(check_ledger, home)), ("Dagster", partial(check_instance, home, None))]


def check_database(home: Path, url: SecretStr) -> Iterable[CheckFinding]:
    """Check that PostgreSQL answers, then what it holds; where it does not, that is all there is to say."""
    from sqlalchemy import text

    from yivideo_pipeline.ledger.database import SCHEMA_VERSION, read_version
    from yivideo_pipeline.ledger.postgres import describe, open_pool

    with open_pool(url).connect() as connection:
        release = connection.scalar(text("SHOW server_version"))
        most = connection.scalar(text("SHOW max_connections"))
        used = connection.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE client_port IS NOT NULL"))
        tables = read_version(connection)
    found = f"PostgreSQL {release} at {describe(url)}, {used} of {most} connections in use"
    yield CheckFinding("database", "ok", found)
    if tables is not None and tables > SCHEMA_VERSION:
        newer = f"a newer yivideo wrote it (version {tables})"
        yield CheckFinding("ledger", "failure", newer, "Install that one again")
        return
    yield CheckFinding("ledger", "ok", f"tables of version {tables}" if tables else "there is none yet")
    yield from check_instance(home, url)


def check_ledger(home: Path) -> Iterable[CheckFinding]:
    """Check that the ledger's file can be read, all of it."""
    from yivideo_pipeline.ledger.database import FILE, require_intact

    require_intact(home, everywhere=True)
    file = home / FILE
    yield CheckFinding("ledger", "ok", f"{file} can be read" if file.is_file() else "there is none yet")


def check_instance(home: Path, url: SecretStr | None) -> Iterable[CheckFinding]:
    """Check that Dagster's instance opens and has the schema of the installed version."""
    from yivideo_pipeline.defs.instance import open_instance
    from yivideo_pipeline.history.instance import require_databases

    if url is None:
        require_databases(home / "dagster", everywhere=True)
    with open_instance(home, url) as instance:
        storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
        versions = [storage.alembic_version() for storage in storages if storage]
    schemas = sorted({str(found[0]) for found in versions if found})
    text = f"{version('dagster')}, instance in {home / 'dagster'}, schema {', '.join(schemas)}"
    if any(found and found[0] != found[1] for found in versions):
        advice = f"DAGSTER_HOME={home / 'dagster'} dagster instance migrate"
        yield CheckFinding("Dagster", "failure", f"{text} is not this version's", advice)
    else:
        yield CheckFinding("Dagster", "ok", text)
