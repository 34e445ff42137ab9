"""Who is at work on which video: an entry that its worker left behind says what it was at when it died."""

import os
import socket
import time
from dataclasses import dataclass

import psutil
from sqlalchemy import Column, Connection, Engine, Float, Integer, Select, Table, Text, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from yivideo_pipeline.ledger.database import tables

AT_WORK = Table(
    "at_work",
    tables,
    Column("key", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("since", Float, nullable=False),
)
PROGRESS = Table(
    "progress",
    tables,
    Column("key", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    Column("fraction", Float, nullable=False),
)
DEATHS = Table(
    "deaths",
    tables,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, index=True),
    Column("stage", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("at", Float, nullable=False),
)


def worker_of_this_process() -> str:
    """Name this process (host, process id, start time) so that another one can tell whether it lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def is_gone(worker: str) -> bool:
    """Say whether a process of this machine has ended; of another machine's nothing is known: False."""
    host, _, process = worker.partition(":")
    if not process or host != socket.gethostname():
        return False
    pid, _, started = process.partition(":")
    try:
        # The same number may belong to another process by now.
        return f"{psutil.Process(int(pid)).create_time():.2f}" != started
    except psutil.NoSuchProcess:
        return True


@dataclass(frozen=True)
class AtWork:
    """What a worker is at: the stage, the run (its root's id), since when in Unix seconds.

    `fraction` is how much of the stage is done, 0 to 1; None where the worker has not said it.
    """

    stage: str
    run_id: str
    since: float
    fraction: float | None


class WorkerLedger:
    """Notes the begin and end of each stage's work on each video."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._worker = worker_of_this_process()

    def begin(self, key: str, stage: str, run_id: str) -> int:
        """Note that this process is at work on a video.

        Returns:
            How many workers died at it since it last went well.
        """
        with self._engine.begin() as connection:
            self._leave(connection, key)
            connection.execute(
                insert(AT_WORK).values(
                    key=key, worker=self._worker, stage=stage, run_id=run_id, since=time.time()
                )
            )
            _bury(connection)
            found = select(func.count()).select_from(DEATHS).where(DEATHS.c.key == key)
            return connection.execute(found).scalar_one()

    def tell(self, key: str, fraction: float) -> None:
        """Note how much of its stage this process has done, 0 to 1."""
        row = {"key": key, "worker": self._worker, "fraction": fraction}
        upsert = insert(PROGRESS).values(row).on_conflict_do_update(set_={"fraction": fraction})
        with self._engine.begin() as connection:
            connection.execute(upsert)

    def end(self, key: str) -> None:
        """Note that the work is over, well or not."""
        with self._engine.begin() as connection:
            self._leave(connection, key)

    def _leave(self, connection: Connection, key: str) -> None:
        for table in (AT_WORK, PROGRESS):
            connection.execute(delete(table).where(table.c.key == key, table.c.worker == self._worker))

    def at_work(self, key: str) -> AtWork | None:
        """Return what is done about a video now; None where nobody is at it, or its worker is dead."""
        latest = select_work().where(AT_WORK.c.key == key).order_by(AT_WORK.c.since.desc())
        with self._engine.connect() as connection:
            for row in connection.execute(latest):
                if not is_gone(row.worker):
                    return AtWork(row.stage, row.run_id, row.since, row.fraction)
        return None

    def deaths(self) -> dict[str, int]:
        """Return how many workers died at each video since it last went well; the others are left out."""
        with self._engine.begin() as connection:
            _bury(connection)
            counts = select(DEATHS.c.key, func.count().label("deaths")).group_by(DEATHS.c.key)
            return {row.key: row.deaths for row in connection.execute(counts)}

    def forget(self, key: str) -> None:
        """Forget who died at a video: somebody gives it another chance."""
        with self._engine.begin() as connection:
            _bury(connection)
            connection.execute(delete(DEATHS).where(DEATHS.c.key == key))


def select_work() -> Select:
    """Select what workers are at, the dead ones too, each with how far it has told that it is."""
    told = (PROGRESS.c.key == AT_WORK.c.key) & (PROGRESS.c.worker == AT_WORK.c.worker)
    return select(AT_WORK, PROGRESS.c.fraction).outerjoin(PROGRESS, told)


def _bury(connection: Connection) -> None:
    """Turn what dead workers left behind into deaths."""
    for left in connection.execute(select(AT_WORK)).all():
        if is_gone(left.worker):
            gone = delete(AT_WORK).where(AT_WORK.c.key == left.key, AT_WORK.c.worker == left.worker)
            connection.execute(delete(PROGRESS).where(PROGRESS.c.worker == left.worker))
            # Of two processes that find it, one counts it.
            if connection.execute(gone).rowcount:
                connection.execute(
                    insert(DEATHS).values(key=left.key, stage=left.stage, run_id=left.run_id, at=time.time())
                )
