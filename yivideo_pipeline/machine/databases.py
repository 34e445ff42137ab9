"""Whether a SQLite file is a database at all: a failing disk or another program may have ended it."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

_NEW_FOR_S = 1.0
"""A file that another process has just made is empty, but not for so long."""


def find_damage(file: Path, *, everywhere: bool = False) -> str | None:
    """Return what is wrong with a SQLite file; None where it can be read, is in use, or does not exist.

    Args:
        file: The file.
        everywhere: Whether all of it is read, and not only its beginning.
    """
    if not file.is_file():
        return None
    if _stays_empty(file):  # SQLite itself would take it for a new database
        return "file is empty"
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if everywhere:
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                return None if found == "ok" else " ".join(found.split())
    except sqlite3.OperationalError:  # another process has it, or it can't be opened: that is no damage
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None


def _stays_empty(file: Path) -> bool:
    until = time.monotonic() + _NEW_FOR_S
    while (is_empty := file.exists() and not file.stat().st_size) and time.monotonic() < until:
        time.sleep(0.05)
    return is_empty
