"""What failed of which video, and which videos are set aside for it until somebody or a new file helps."""

import time
from collections.abc import Collection
from dataclasses import asdict, dataclass

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Float,
    Integer,
    Row,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.ledger.database import tables
from yivideo_pipeline.ledger.workers import DEATHS


def _columns_of_a_failure() -> list[Column]:
    return [
        Column("stage", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("message", Text, nullable=False),
        Column("hint", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("at", Float, nullable=False),
    ]


FAILURES = Table(
    "failures",
    tables,
    Column("key", Text, primary_key=True),
    Column("run_id", Text, primary_key=True, index=True),
    *_columns_of_a_failure(),
    Column("overcome", Boolean, nullable=False),  # it went well since, or was given another chance
)
QUARANTINE = Table(
    "quarantine",
    tables,
    Column("key", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    *_columns_of_a_failure(),
    Column("since", Float, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
)


@dataclass(frozen=True)
class Failed:
    """One video's failure in one run.

    `run_id` is the root's: a run that is tried again by the daemon or executed anew by a person is still the
    same one. `kind` is the error's in `errors.tree`, `at` Unix seconds.
    """

    key: str
    stage: str
    run_id: str
    kind: str
    message: str
    hint: str
    attempts: int
    at: float


@dataclass(frozen=True)
class Quarantined:
    """A video that nothing but a person, or a change of its file, takes up again.

    `size_bytes` and `mtime_ns` are the file's at that time; both are 0 where there was none.
    """

    key: str
    failed: Failed
    since: float
    size_bytes: int
    mtime_ns: int


class FailureLedger:
    """Remembers failures until the video goes well, and the quarantine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note_failure(self, key: str, stage: str, run_id: str, error: YivideoError, attempts: int) -> Failed:
        """Note that a video failed in a run (its root's id), for good as far as this run goes."""
        failed = Failed(key, stage, run_id, error.kind, error.message, error.hint, attempts, time.time())
        values = {**asdict(failed), "overcome": False}
        noted = insert(FAILURES).values(values).on_conflict_do_update(set_=values)
        with self._engine.begin() as connection:
            connection.execute(noted)
        return failed

    def forgive(self, key: str, run_id: str) -> None:
        """Forget a failure of this very run: the stage went well when it was tried again."""
        with self._engine.begin() as connection:
            connection.execute(delete(FAILURES).where(FAILURES.c.key == key, FAILURES.c.run_id == run_id))

    def note_success(self, key: str) -> None:
        """Note that a video went through to the end: its failures, deaths and quarantine are over."""
        self.release([key])

    def failed_in(self, run_id: str) -> dict[str, Failed]:
        """Return what failed in a run (its root's id), by key."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(FAILURES).where(FAILURES.c.run_id == run_id))
            return {row.key: _failed(row) for row in rows}

    def last(self, key: str) -> Failed | None:
        """Return the video's latest failure; None where it never failed or went well since."""
        latest = select(FAILURES).where(FAILURES.c.key == key, ~FAILURES.c.overcome)
        with self._engine.connect() as connection:
            row = connection.execute(latest.order_by(FAILURES.c.at.desc()).limit(1)).first()
            return _failed(row) if row else None

    def streak(self, key: str) -> int:
        """Return how many runs of the video failed one after the other since it last went well."""
        count = select(func.count()).where(FAILURES.c.key == key, ~FAILURES.c.overcome)
        with self._engine.connect() as connection:
            return connection.execute(count).scalar_one()

    def quarantine(self, key: str, failed: Failed, size_bytes: int, mtime_ns: int) -> None:
        """Set a video aside, with its reason and what its file looks like now."""
        values = {**asdict(failed), "key": key, "since": time.time()}
        values |= {"size_bytes": size_bytes, "mtime_ns": mtime_ns}
        with self._engine.begin() as connection:
            connection.execute(insert(QUARANTINE).values(values).on_conflict_do_update(set_=values))

    def quarantined(self) -> dict[str, Quarantined]:
        """Return all that are set aside, the latest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(QUARANTINE).order_by(QUARANTINE.c.since.desc()))
            return {row.key: _quarantined(row) for row in rows}

    def find_quarantined(self, key: str) -> Quarantined | None:
        """Return why and since when a video is set aside; None where it is not."""
        with self._engine.connect() as connection:
            row = connection.execute(select(QUARANTINE).where(QUARANTINE.c.key == key)).first()
            return _quarantined(row) if row else None

    def release(self, keys: Collection[str]) -> list[str]:
        """Take videos out of quarantine and forget their failures and dead workers: they begin anew.

        Returns:
            Those that were set aside.
        """
        released = []
        with self._engine.begin() as connection:
            for key in keys:
                open_failures = (FAILURES.c.key == key) & ~FAILURES.c.overcome
                connection.execute(update(FAILURES).where(open_failures).values(overcome=True))
                connection.execute(delete(DEATHS).where(DEATHS.c.key == key))
                if connection.execute(delete(QUARANTINE).where(QUARANTINE.c.key == key)).rowcount:
                    released.append(key)
        return released


def _failed(row: Row) -> Failed:
    return Failed(row.key, row.stage, row.run_id, row.kind, row.message, row.hint, row.attempts, row.at)


def _quarantined(row: Row) -> Quarantined:
    return Quarantined(row.key, _failed(row), row.since, row.size_bytes, row.mtime_ns)


# PART ledger/attempts.py: Attempts at a stage that failed and were followed by another: Dagster's steps forget them in between.

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
