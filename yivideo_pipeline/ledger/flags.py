"""Small things to remember under a name, such as that scheduled backfills are paused."""

import time
from dataclasses import dataclass

from sqlalchemy import Column, Engine, Float, Integer, Table, Text, delete, select, update
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


# PART ledger/workflows.py: Callbacks: who is to be told how a workflow ended, until it was told. Dagster has no place for that.

GIVE_UP_AFTER_S = 86_400
"""Nobody is told of an end that long ago."""
FIRST_WAIT_S = 1
LONGEST_WAIT_S = 900
"""Waits after failed attempts: they double from the first to the longest."""

CALLBACKS = Table(
    "callbacks",
    tables,
    Column("workflow", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("round", Integer, nullable=False),  # launched again, a workflow has another end to tell
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("ended_at", Float),  # when the workflow's end was first to be told
    Column("closed_at", Float),  # told, or given up
)
_IS_OPEN = CALLBACKS.c.closed_at.is_(None)


@dataclass(frozen=True)
class Callback:
    """An address that is to be told of a workflow's end; `attempts` have failed so far."""

    workflow: str
    url: str
    round: int
    attempts: int
    ended_at: float | None


class CallbackLedger:
    """The callbacks that are to be sent; one a workflow."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ask(self, workflow: str, url: str) -> None:
        """Note that an address wants to be told; of a workflow that has one already nothing changes."""
        row = {"workflow": workflow, "url": url, "round": 0, "attempts": 0, "next_at": 0.0}
        with self._engine.begin() as connection:
            connection.execute(insert(CALLBACKS).values(row).on_conflict_do_nothing())

    def ask_again(self, workflow: str) -> None:
        """Tell the same address of another end: the workflow was launched again."""
        again = update(CALLBACKS).where(CALLBACKS.c.workflow == workflow)
        again = again.values(
            round=CALLBACKS.c.round + 1, attempts=0, next_at=0.0, ended_at=None, closed_at=None
        )
        with self._engine.begin() as connection:
            connection.execute(again)

    def drop(self, workflow: str) -> None:
        """Tell nobody: the workflow was never launched."""
        with self._engine.begin() as connection:
            connection.execute(delete(CALLBACKS).where(CALLBACKS.c.workflow == workflow))

    def is_any_open(self) -> bool:
        """Tell whether anybody is still to be told of anything."""
        with self._engine.connect() as connection:
            return connection.execute(select(CALLBACKS).where(_IS_OPEN).limit(1)).first() is not None

    def due(self, now: float) -> list[Callback]:
        """Return what is to be told once its workflow has ended, the longest waiting first."""
        wanted = select(CALLBACKS).where(_IS_OPEN, CALLBACKS.c.next_at <= now).order_by(CALLBACKS.c.next_at)
        with self._engine.connect() as connection:
            rows = connection.execute(wanted)
            return [Callback(row.workflow, row.url, row.round, row.attempts, row.ended_at) for row in rows]

    def mark_sent(self, callback: Callback) -> None:
        """Note that it was told: it never is again."""
        self._set(callback, closed_at=time.time())

    def mark_failed(self, callback: Callback, now: float) -> bool:
        """Note a failed attempt; returns whether there will be another."""
        wait_s = min(FIRST_WAIT_S * 2 ** min(callback.attempts, 20), LONGEST_WAIT_S)
        ended_at = callback.ended_at or now
        goes_on = now + wait_s < ended_at + GIVE_UP_AFTER_S
        self._set(
            callback,
            attempts=callback.attempts + 1,
            ended_at=ended_at,
            next_at=now + wait_s,
            closed_at=None if goes_on else now,
        )
        return goes_on

    def _set(self, callback: Callback, **values: float | None) -> None:
        same = CALLBACKS.c.round == callback.round  # else it was launched again meanwhile
        with self._engine.begin() as connection:
            connection.execute(
                update(CALLBACKS).where(CALLBACKS.c.workflow == callback.workflow, same).values(values)
            )
