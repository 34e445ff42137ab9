"""What `yivideo doctor` says of a home in PostgreSQL."""

import re

import pytest
from sqlalchemy import text

from yivideo_pipeline.cli.record_checks import list_record_checks
from yivideo_pipeline.errors.tree import ServiceUnreachable
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.database import SCHEMA_VERSION
from yivideo_pipeline.service.routes.health import _find_damage
from yivideo_pipeline.settings.load import load_settings


def settings_of(home, url):
    return load_settings(
        environ={"YIVIDEO_HOME": str(home), "YIVIDEO_STORAGE__DATABASE_URL": url.get_secret_value()}
    )


def findings(settings) -> list:
    ((name, check),) = list_record_checks(settings)
    assert name == "database"
    return list(check())


def test_a_database_is_shown_with_its_connections_and_what_it_holds(home, postgres):
    url = postgres.make_database()
    settings = settings_of(home, url)
    database, ledger, dagster = findings(settings)
    assert {one.level for one in (database, ledger, dagster)} == {"ok"}
    shown = r"PostgreSQL 1\d.* at 127\.0\.0\.1:\d+/home\d+, \d+ of 100 connections in use"
    assert re.fullmatch(shown, database.message)
    assert ledger.message == "there is none yet"
    opened = open_ledger(home, url)
    assert findings(settings)[1].message == f"tables of version {SCHEMA_VERSION}"
    with opened.engine.begin() as connection:
        connection.execute(text("UPDATE yivideo_version SET version_num = '99'"))
    _, newer = findings(settings)
    assert (newer.level, newer.message) == ("failure", "a newer yivideo wrote it (version 99)")
    assert _find_damage(settings) is None


def test_a_database_that_does_not_answer_is_one_failure_and_the_service_is_not_ready(home, postgres):
    settings = settings_of(home, postgres.address("home", port=9))
    with pytest.raises(ServiceUnreachable, match="Connection refused"):
        findings(settings)
    reason = _find_damage(settings)
    assert reason is not None
    assert reason.startswith("The database 127.0.0.1:9/home can't be used")
