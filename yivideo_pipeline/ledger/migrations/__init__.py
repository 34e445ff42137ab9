"""Migrations of the ledger's tables, by Alembic: one file in `versions/` for each schema version.

The first version is the tables as they were before they had one; `versions/0001_first_tables.py` stands for
it. A new home gets all tables at once, of the models, and is marked as of the last version. How to add a
migration: docs/adr/0012-ledger-migrations.md.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

log = logging.getLogger(__name__)


def migrate(connection: Connection, version: int) -> None:
    """Bring the tables from a version to the last one, within the connection's transaction."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    command.stamp(config, str(version))
    command.upgrade(config, "head")
    log.info("Migrated the ledger from version %d", version)
