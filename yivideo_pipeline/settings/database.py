"""The database's address on its way to Dagster's programs: in the environment, which the setting has too.

Dagster hands the configuration of an instance to its processes on their command lines, which everybody on the
machine can read. So the configuration only says that the address is in this variable.
"""

import os
from pathlib import Path

from pydantic import SecretStr

from yivideo_pipeline.settings.load import load_settings

VARIABLE = "YIVIDEO_STORAGE__DATABASE_URL"


def publish_database(url: SecretStr | None) -> None:
    """Say to this process and its children which database Dagster's storage is in; None: SQLite."""
    os.environ[VARIABLE] = url.get_secret_value() if url else ""


def find_database(home: Path) -> SecretStr | None:
    """Return the database of a home's Dagster: what was published, else what the settings of that home say.

    Dagster's own programs, such as `dagster dev`, ask without that anybody has published it.

    Raises:
        ConfigError: The settings are wrong.
    """
    if VARIABLE not in os.environ:
        settings = load_settings()
        publish_database(
            settings.storage.read_database_url() if settings.home.resolve() == home.resolve() else None
        )
    return SecretStr(os.environ[VARIABLE]) if os.environ[VARIABLE] else None
