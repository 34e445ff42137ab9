"""Flags: small things to remember by name, such as that scheduled backfills are paused."""

import time

from sqlalchemy import Engine, delete
from sqlalchemy.orm import Mapped, Session, mapped_column

from yivideo_pipeline.ledger.database import Base, insert_missing, upsert


class Flag(Base):
    """What was set; `since` is when, in Unix seconds."""

    __tablename__ = "flags"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    since: Mapped[float]


class FlagLedger:
    """The flags by name."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def set(self, name: str, value: str) -> Flag:
        """Set a flag; one that is set already stays as it is.

        Returns:
            The flag as it stands.
        """
        with self._engine.begin() as connection:
            insert_missing(connection, [Flag(name, value, time.time())])
            with Session(connection) as session:
                return session.get_one(Flag, name)

    def replace(self, name: str, value: str) -> None:
        """Set a flag in place of one that may be set."""
        with self._engine.begin() as connection:
            upsert(connection, [Flag(name, value, time.time())])

    def get(self, name: str) -> Flag | None:
        """Return a flag; None where it is not set."""
        with Session(self._engine) as session:
            return session.get(Flag, name)

    def clear(self, name: str) -> bool:
        """Clear a flag; returns whether it was set."""
        with self._engine.begin() as connection:
            return bool(connection.execute(delete(Flag).where(Flag.name == name)).rowcount)
