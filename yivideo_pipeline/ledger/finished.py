"""What the latest complete run of each video was asked for and delivered: the same need not be run again."""

from collections.abc import Collection

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from yivideo_pipeline.ledger.database import Base, upsert

_KEYS_AT_ONCE = 500  # SQLite takes so many in a query, whatever its version


class FinishedRun(Base):
    """The latest run that delivered all subtitles of a video.

    Attributes:
        key: The video's partition key.
        run_id: The run's.
        asked: A digest of all that the run was asked for.
        states: The states of the video and of the delivered files after it, by path, as JSON.
        outcome: What was reported of it, as JSON.
    """

    __tablename__ = "finished_runs"

    key: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str]
    asked: Mapped[str]
    states: Mapped[str]
    outcome: Mapped[str]


class FinishedLedger:
    """One row for each video."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, run: FinishedRun) -> None:
        """Note a run, in place of an earlier one."""
        with self._engine.begin() as connection:
            upsert(connection, [run])

    def forget(self, key: str) -> None:
        """Forget the run of a video."""
        with self._engine.begin() as connection:
            connection.execute(delete(FinishedRun).where(FinishedRun.key == key))

    def asked(self, asked: str, keys: Collection[str]) -> list[FinishedRun]:
        """Return the runs of these videos that were asked for the same, sorted by key."""
        wanted, found = sorted(set(keys)), []
        with Session(self._engine) as session:
            for at in range(0, len(wanted), _KEYS_AT_ONCE):
                some = FinishedRun.key.in_(wanted[at : at + _KEYS_AT_ONCE])
                query = select(FinishedRun).where(FinishedRun.asked == asked, some)
                found += session.scalars(query.order_by(FinishedRun.key))
        return found
