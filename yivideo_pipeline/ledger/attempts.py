"""Attempts at a stage that failed and were followed by another: Dagster's steps forget them in between."""

from dataclasses import asdict, dataclass

from sqlalchemy import Column, Engine, Float, Integer, Table, Text, delete, select
from sqlalchemy.dialects.sqlite import insert

from yivideo_pipeline.ledger.database import tables

ATTEMPTS = Table(
    "attempts",
    tables,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, index=True),
    Column("stage", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("waited_s", Float, nullable=False),
)


@dataclass(frozen=True)
class Attempt:
    """An attempt that failed: its error, and the seconds that were waited before the next one."""

    kind: str
    message: str
    waited_s: float


class AttemptLedger:
    """Keeps the failed attempts of each video at each stage while it is tried again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, key: str, stage: str, run_id: str, attempt: Attempt) -> None:
        """Note an attempt that failed and will be followed by another."""
        values = {"key": key, "stage": stage, "run_id": run_id, **asdict(attempt)}
        with self._engine.begin() as connection:
            connection.execute(insert(ATTEMPTS).values(values))

    def of(self, key: str, stage: str, run_id: str) -> tuple[Attempt, ...]:
        """Return what failed before in this run, the first first."""
        found = select(ATTEMPTS).where(
            ATTEMPTS.c.key == key, ATTEMPTS.c.stage == stage, ATTEMPTS.c.run_id == run_id
        )
        with self._engine.connect() as connection:
            rows = connection.execute(found.order_by(ATTEMPTS.c.id))
            return tuple(Attempt(row.kind, row.message, row.waited_s) for row in rows)

    def forget(self, key: str, stage: str) -> None:
        """Forget the attempts at a stage: it has come to its end, well or not."""
        with self._engine.begin() as connection:
            connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.key == key, ATTEMPTS.c.stage == stage))
