"""Callbacks: addresses to be called when a workflow ends, kept until they were called."""

import time

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from yivideo_pipeline.ledger.database import Base, insert_missing

GIVE_UP_AFTER_S = 86_400
"""No callback is sent for an end that long ago."""
FIRST_WAIT_S = 1
LONGEST_WAIT_S = 900
"""Waits after failed attempts: they double from the first to the longest."""


class Callback(Base):
    """An address that is to be called when a workflow ends; `attempts` have failed so far.

    `round` counts the workflow's launches: launched again, it has another end to report. `next_at` is when
    the next attempt is due, `ended_at` when the end was first to be reported; with `closed_at` it was
    reported, or given up. All are Unix seconds.
    """

    __tablename__ = "callbacks"

    workflow: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    round: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float] = mapped_column(default=0.0)
    ended_at: Mapped[float | None] = mapped_column(default=None)
    closed_at: Mapped[float | None] = mapped_column(default=None)


class CallbackLedger:
    """The callbacks that are to be sent; one a workflow."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ask(self, workflow: str, url: str) -> None:
        """Note an address to be called; nothing changes for a workflow that has one already."""
        with self._engine.begin() as connection:
            insert_missing(connection, [Callback(workflow, url)])

    def ask_again(self, workflow: str) -> None:
        """Report another end to the same address: the workflow was launched again."""
        again = update(Callback).where(Callback.workflow == workflow)
        again = again.values(round=Callback.round + 1, attempts=0, next_at=0.0, ended_at=None, closed_at=None)
        with self._engine.begin() as connection:
            connection.execute(again)

    def drop(self, workflow: str) -> None:
        """Call nobody: the workflow was never launched."""
        with self._engine.begin() as connection:
            connection.execute(delete(Callback).where(Callback.workflow == workflow))

    def is_any_open(self) -> bool:
        """Return whether any callback is still to be sent."""
        with self._engine.connect() as connection:
            found = connection.execute(select(Callback.workflow).where(Callback.closed_at.is_(None)).limit(1))
            return found.first() is not None

    def due(self, now: float) -> list[Callback]:
        """Return what is to be sent once its workflow has ended, the longest waiting first."""
        wanted = select(Callback).where(Callback.closed_at.is_(None), Callback.next_at <= now)
        with Session(self._engine) as session:
            return list(session.scalars(wanted.order_by(Callback.next_at)))

    def mark_sent(self, callback: Callback) -> None:
        """Note that it was sent: it never is again."""
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
        same = Callback.round == callback.round  # else it was launched again meanwhile
        with self._engine.begin() as connection:
            connection.execute(
                update(Callback).where(Callback.workflow == callback.workflow, same).values(values)
            )
