"""Small things to remember under a name, such as that scheduled backfills are paused."""

import time
from dataclasses import dataclass

from sqlalchemy import Column, Engine, Float, Table, Text, delete, select
from sqlalchemy.dialects.sqlite import insert

from yivideo_pipeline.ledger.database import tables

MARKS = Table(
    "marks",
    tables,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("since", Float, nullable=False),
)


@dataclass(frozen=True)
class Mark:
    """What was set; `since` is when, in Unix seconds."""

    name: str
    value: str
    since: float


class Marks:
    """Marks by name."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def set(self, name: str, value: str) -> Mark:
        """Set a mark; one that is there already stays as it is.

        Returns:
            The mark as it stands.
        """
        row = {"name": name, "value": value, "since": time.time()}
        with self._engine.begin() as connection:
            connection.execute(insert(MARKS).values(row).on_conflict_do_nothing())
            (kept,) = connection.execute(select(MARKS).where(MARKS.c.name == name))
        return Mark(*kept)

    def get(self, name: str) -> Mark | None:
        """Return a mark; None where it is not set."""
        with self._engine.connect() as connection:
            row = connection.execute(select(MARKS).where(MARKS.c.name == name)).first()
            return Mark(*row) if row else None

    def clear(self, name: str) -> bool:
        """Take a mark away; returns whether it was set."""
        with self._engine.begin() as connection:
            return bool(connection.execute(delete(MARKS).where(MARKS.c.name == name)).rowcount)
