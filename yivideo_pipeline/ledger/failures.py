"""Failures of videos, the quarantine, and the failed attempts at stages that are being retried."""

import time
from collections.abc import Collection

from sqlalchemy import BigInteger, Engine, delete, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.ledger.database import Base, insert_missing, upsert
from yivideo_pipeline.ledger.workers import Death


class StageFailure(Base):
    """One video's failure in one run.

    `run_id` is the root's: a run that is retried by the daemon or re-executed by the user is still the same
    one. `kind` is the error's in `errors.tree`, `at` Unix seconds. It is `overcome` once the video has
    succeeded, or was given another chance.
    """

    __tablename__ = "failures"

    key: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str]
    run_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    kind: Mapped[str]
    message: Mapped[str]
    hint: Mapped[str]
    attempts: Mapped[int]
    at: Mapped[float]
    overcome: Mapped[bool] = mapped_column(default=False)


class Quarantined(Base):
    """A video that is not processed by itself until the user releases it, or its file changes.

    `stage` to `at` are of the failure that it is quarantined for. `size_bytes` and `mtime_ns` are the file's
    at that time; both are 0 where there was none.
    """

    __tablename__ = "quarantine"

    key: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str]
    stage: Mapped[str]
    kind: Mapped[str]
    message: Mapped[str]
    hint: Mapped[str]
    attempts: Mapped[int]
    at: Mapped[float]
    since: Mapped[float]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)

    @classmethod
    def of(cls, failure: StageFailure, since: float, size_bytes: int, mtime_ns: int) -> "Quarantined":
        """Return the entry of a video that is quarantined for a failure."""
        one = failure
        return cls(
            one.key, one.run_id, one.stage, one.kind, one.message, one.hint, one.attempts, one.at,
            since, size_bytes, mtime_ns,
        )  # fmt: skip

    @property
    def failure(self) -> StageFailure:
        """The failure that it is quarantined for."""
        return StageFailure(
            self.key, self.stage, self.run_id, self.kind, self.message, self.hint, self.attempts, self.at
        )


class FailureLedger:
    """Remembers failures until the video succeeds, and the quarantine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note_failure(
        self, key: str, stage: str, run_id: str, error: YivideoError, attempts: int
    ) -> StageFailure:
        """Note that a video failed in a run (its root's id), for good as far as this run goes."""
        failure = StageFailure(
            key, stage, run_id, error.kind, error.message, error.hint, attempts, time.time()
        )
        self.note(failure)
        return failure

    def note(self, failure: StageFailure) -> None:
        """Note a failure as it is."""
        with self._engine.begin() as connection:
            upsert(connection, [failure])

    def forgive(self, key: str, run_id: str) -> None:
        """Forget a failure of this very run: the stage succeeded when it was retried."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(StageFailure).where(StageFailure.key == key, StageFailure.run_id == run_id)
            )

    def note_success(self, key: str) -> None:
        """Note that a video was processed to the end: its failures, deaths and quarantine are over."""
        self.release([key])

    def failed_in(self, run_id: str) -> dict[str, StageFailure]:
        """Return what failed in a run (its root's id), by key."""
        with Session(self._engine) as session:
            found = session.scalars(select(StageFailure).where(StageFailure.run_id == run_id))
            return {failure.key: failure for failure in found}

    def last(self, key: str) -> StageFailure | None:
        """Return the video's latest failure; None where it never failed or has succeeded since."""
        latest = select(StageFailure).where(StageFailure.key == key, ~StageFailure.overcome)
        with Session(self._engine) as session:
            return session.scalar(latest.order_by(StageFailure.at.desc()).limit(1))

    def streak(self, key: str) -> int:
        """Return how many runs of the video failed one after the other since it last succeeded."""
        count = select(func.count()).where(StageFailure.key == key, ~StageFailure.overcome)
        with self._engine.connect() as connection:
            return connection.execute(count).scalar_one()

    def quarantine(self, key: str, failure: StageFailure, size_bytes: int, mtime_ns: int) -> None:
        """Quarantine a video, with its reason and what its file looks like now."""
        entry = Quarantined.of(failure, time.time(), size_bytes, mtime_ns)
        entry.key = key
        with self._engine.begin() as connection:
            upsert(connection, [entry])

    def quarantined(self) -> dict[str, Quarantined]:
        """Return all that are quarantined, the latest first."""
        with Session(self._engine) as session:
            found = session.scalars(select(Quarantined).order_by(Quarantined.since.desc()))
            return {entry.key: entry for entry in found}

    def find_quarantined(self, key: str) -> Quarantined | None:
        """Return why and since when a video is quarantined; None where it is not."""
        with Session(self._engine) as session:
            return session.get(Quarantined, key)

    def release(self, keys: Collection[str]) -> list[str]:
        """Release videos from quarantine and forget their failures and dead workers: they begin anew.

        Returns:
            Those that were quarantined.
        """
        released = []
        with self._engine.begin() as connection:
            for key in keys:
                is_open = (StageFailure.key == key) & ~StageFailure.overcome
                connection.execute(update(StageFailure).where(is_open).values(overcome=True))
                connection.execute(delete(Death).where(Death.key == key))
                if connection.execute(delete(Quarantined).where(Quarantined.key == key)).rowcount:
                    released.append(key)
        return released


class Attempt(Base):
    """An attempt that failed: its error, and the seconds that were waited before the next one.

    Dagster's steps forget it before the next attempt. `AttemptLedger.note` says of what it was.
    """

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(primary_key=True, init=False, compare=False)
    kind: Mapped[str]
    message: Mapped[str]
    waited_s: Mapped[float]
    key: Mapped[str] = mapped_column(index=True, default="", compare=False)
    stage: Mapped[str] = mapped_column(default="", compare=False)
    run_id: Mapped[str] = mapped_column(default="", compare=False)


class AttemptLedger:
    """Keeps the failed attempts of each video at each stage while it is retried."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, key: str, stage: str, run_id: str, attempt: Attempt) -> None:
        """Note an attempt that failed and will be followed by another."""
        row = Attempt(attempt.kind, attempt.message, attempt.waited_s, key, stage, run_id)
        with self._engine.begin() as connection:
            insert_missing(connection, [row])

    def of(self, key: str, stage: str, run_id: str) -> tuple[Attempt, ...]:
        """Return what failed before in this run, the first first."""
        found = select(Attempt).where(Attempt.key == key, Attempt.stage == stage, Attempt.run_id == run_id)
        with Session(self._engine) as session:
            return tuple(session.scalars(found.order_by(Attempt.id)))

    def forget(self, key: str, stage: str) -> None:
        """Forget the attempts at a stage: it has come to its end, well or not."""
        with self._engine.begin() as connection:
            connection.execute(delete(Attempt).where(Attempt.key == key, Attempt.stage == stage))
