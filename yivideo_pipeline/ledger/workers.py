"""Which worker works on which video: the entry that a dead worker left behind says what it worked on."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import ColumnElement, Connection, Engine, delete, exists, func, select, update
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from yivideo_pipeline.ledger.alive import (
    gone_workers,
    heartbeat_ages,
    keep_beating,
    worker_of_this_process,
)
from yivideo_pipeline.ledger.database import Base, insert_missing, upsert
from yivideo_pipeline.ledger.samples import RunColumns, RunOrigin, Sample, record_in_turn


class AtWork(RunColumns, Base, kw_only=True):
    """What a worker works on: the stage, the run, since when in Unix seconds.

    `fraction` is how much of the stage is done, 0 to 1; None where the worker has not reported it.
    """

    __tablename__ = "at_work"

    key: Mapped[str] = mapped_column(primary_key=True)
    worker: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str]
    since: Mapped[float]
    fraction: Mapped[float | None] = mapped_column(default=None)

    @property
    def run(self) -> RunOrigin:
        """The run that the stage is made in."""
        return RunOrigin(**{field.name: getattr(self, field.name) for field in fields(RunOrigin)})


@dataclass(frozen=True)
class BusyWorker:
    """A process at work on a video, on any host that shares the database.

    `since` is Unix seconds. `fraction` is how much of the stage is done, 0 to 1; None where it has not said.
    `silent_s` is how long ago it gave its last sign of life; None: it never did.
    """

    host: str
    pid: int
    key: str
    stage: str
    since: float
    fraction: float | None
    silent_s: float | None
    run_id: str


class Death(Base):
    """A worker that died while it worked on a video; `run_id` is the root run's, `at` when it was noticed."""

    __tablename__ = "deaths"

    id: Mapped[int] = mapped_column(primary_key=True, init=False, compare=False)
    key: Mapped[str] = mapped_column(index=True)
    stage: Mapped[str]
    run_id: Mapped[str]
    at: Mapped[float]


def living(session: Session, entries: Sequence[AtWork]) -> list[AtWork]:
    """Return those of some entries whose worker lives, in their order."""
    gone = gone_workers(session.connection(), {entry.worker for entry in entries})
    return [entry for entry in entries if entry.worker not in gone]


class WorkerLedger:
    """Notes the begin and end of each stage's work on each video."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._worker = worker_of_this_process()

    def begin(self, key: str, stage: str, run: RunOrigin) -> int:
        """Note that this process works on a video.

        Returns:
            How many workers died working on it alone since it last succeeded.
        """
        keep_beating(self._engine)
        entry = AtWork(**asdict(run), key=key, worker=self._worker, stage=stage, since=time.time())
        with self._engine.begin() as connection:
            upsert(connection, [entry])
            _bury_dead(connection)
            return connection.execute(select(func.count()).where(Death.key == key, _alone())).scalar_one()

    def report(self, key: str, fraction: float) -> None:
        """Note how much of its stage this process has done, 0 to 1."""
        own = update(AtWork).where(AtWork.key == key, AtWork.worker == self._worker)
        with self._engine.begin() as connection:
            connection.execute(own.values(fraction=fraction))

    def end(self, key: str) -> None:
        """Note that the work is over, well or not."""
        with self._engine.begin() as connection:
            connection.execute(delete(AtWork).where(AtWork.key == key, AtWork.worker == self._worker))

    def at_work(self, key: str) -> AtWork | None:
        """Return what is being done with a video now; None where nothing is, or its worker is dead."""
        latest = select(AtWork).where(AtWork.key == key).order_by(AtWork.since.desc())
        with Session(self._engine) as session:
            return next(iter(living(session, session.scalars(latest).all())), None)

    def busy(self) -> list[BusyWorker]:
        """Return all that is being worked on now, by host and process; what dead workers left is no work."""
        with Session(self._engine) as session:
            entries = living(session, session.scalars(select(AtWork)).all())
            ages = heartbeat_ages(session.connection())
        workers = [_busy_worker(entry, ages.get(entry.worker)) for entry in entries]
        return sorted(workers, key=lambda one: (one.host, one.pid, one.since, one.key))

    def is_gone(self, worker: str) -> bool:
        """Return whether a worker has ended; False for one of which nothing is known."""
        with self._engine.connect() as connection:
            return worker in gone_workers(connection, [worker])

    def deaths(self) -> dict[str, int]:
        """Return how many workers died at each video alone since it last succeeded; others are left out."""
        counts = select(Death.key, func.count()).where(_alone()).group_by(Death.key)
        with self._engine.begin() as connection:
            _bury_dead(connection)
            return dict(connection.execute(counts).tuples().all())

    def last_death(self, key: str) -> Death:
        """Return the last death at a video that killed a worker."""
        latest = select(Death).where(Death.key == key).order_by(Death.id.desc()).limit(1)
        with Session(self._engine) as session:
            return session.scalars(latest).one()

    def suspects(self) -> set[str]:
        """Return the videos at which a worker died, alone or beside others, since they last succeeded."""
        with self._engine.begin() as connection:
            _bury_dead(connection)
            return set(connection.scalars(select(Death.key)))

    def bury_dead(self) -> None:
        """Record the stages whose workers have died since the last time, each as a death and a failure."""
        with self._engine.begin() as connection:
            _bury_dead(connection)

    def forget(self, key: str) -> None:
        """Forget the workers that died at a video: it gets another chance."""
        with self._engine.begin() as connection:
            _bury_dead(connection)
            connection.execute(delete(Death).where(Death.key == key))


def _busy_worker(entry: AtWork, silent_s: float | None) -> BusyWorker:
    host, pid, _ = entry.worker.rsplit(":", 2)
    return BusyWorker(
        host, int(pid), entry.key, entry.stage, entry.since, entry.fraction, silent_s, entry.run_id
    )


def _alone() -> ColumnElement[bool]:
    """Return the condition that a worker died at one video: of several, any may have killed it."""
    other = aliased(Death)
    same = (other.run_id == Death.run_id) & (other.at == Death.at) & (other.id != Death.id)
    return ~exists().where(same)


def _bury_dead(connection: Connection) -> None:
    """Turn what dead workers left behind into deaths and samples: no stage of theirs recorded its end.

    The deaths of one worker have the same time.
    """
    workers = connection.scalars(select(AtWork.worker).distinct()).all()
    times = {worker: time.time() for worker in gone_workers(connection, workers)}
    if not times:
        return
    left = select(AtWork).where(AtWork.worker.in_(times)).order_by(AtWork.key, AtWork.worker)
    with Session(connection) as session:
        entries = session.scalars(left).all()
    for entry in entries:
        gone = delete(AtWork).where(AtWork.key == entry.key, AtWork.worker == entry.worker)
        # Of two processes that find it, one records it.
        if connection.execute(gone).rowcount:
            now = times[entry.worker]
            insert_missing(connection, [Death(entry.key, entry.stage, entry.root_id, now)])
            record_in_turn(connection, [_failed_sample(entry, now)])


def _failed_sample(entry: AtWork, at: float) -> Sample:
    return Sample(
        **asdict(entry.run),
        stage=entry.stage,
        key=entry.key,
        success=False,
        at=at,
        attempts=1,
        kind="worker",
        message="The worker process ended in the middle of its work",
    )
