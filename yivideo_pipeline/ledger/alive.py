"""Which workers live, on this host and on others.

The name of a worker says where and since when its process runs, so that its own host sees whether it does.
Other hosts go by its heartbeat: when it last gave a sign of life, by the clock of the database.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Collection
from weakref import WeakSet, ref

import psutil
from sqlalchemy import Connection, Engine, delete, extract, func, select
from sqlalchemy.orm import Mapped, mapped_column

from yivideo_pipeline.ledger.database import Base, upsert

BEAT_S = 5.0
GONE_AFTER_S = 20.0
"""A worker of another host is gone after so long without a sign of life."""
_FORGOTTEN_AFTER_S = 7 * 86_400

_beating: WeakSet[Engine] = WeakSet()
_lock = threading.Lock()

log = logging.getLogger(__name__)


class LifeSign(Base):
    """The last sign of life of a worker, in Unix seconds."""

    __tablename__ = "heartbeats"

    worker: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[float]


def worker_of_this_process() -> str:
    """Return this process's name (host, process id, start time), by which another one sees if it lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{psutil.Process().create_time():.2f}"


def is_gone(worker: str) -> bool:
    """Return whether a process of this host has ended; False for another host's."""
    host, _, process = worker.partition(":")
    if not process or host != socket.gethostname():
        return False
    pid, _, started = process.partition(":")
    try:
        found = psutil.Process(int(pid))
        # The number may be another process's by now; a dead one that nobody waited for still has it.
        return f"{found.create_time():.2f}" != started or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def gone_workers(connection: Connection, workers: Collection[str]) -> set[str]:
    """Return those of some workers that have ended; one of another host that never gave a sign has not."""
    prefix = f"{socket.gethostname()}:"
    elsewhere = [worker for worker in workers if not worker.startswith(prefix)]
    gone = {worker for worker in workers if is_gone(worker)}
    if elsewhere:
        silent = LifeSign.at < _now(connection) - GONE_AFTER_S
        gone |= set(connection.scalars(select(LifeSign.worker).where(LifeSign.worker.in_(elsewhere), silent)))
    return gone


def heartbeat_ages(connection: Connection) -> dict[str, float]:
    """Return the seconds since each worker's last sign of life, by the clock of the database."""
    now = _now(connection)
    beats = connection.execute(select(LifeSign.worker, LifeSign.at)).tuples()
    return {worker: max(0.0, now - at) for worker, at in beats}


def keep_beating(engine: Engine) -> None:
    """Give a sign of life now and every few seconds, as long as this process lives and uses the database."""
    with _lock:
        if engine in _beating:
            return
        worker = worker_of_this_process()
        _beat(engine, worker)
        _beating.add(engine)
    threading.Thread(target=_go_on_beating, args=(ref(engine), worker), name="heartbeat", daemon=True).start()


def _go_on_beating(find_engine: "ref[Engine]", worker: str) -> None:
    while True:
        time.sleep(BEAT_S)
        if (engine := find_engine()) is None:
            return
        try:
            _beat(engine, worker)
        except Exception as error:  # noqa: BLE001 - whatever the database has: the next one may succeed
            log.warning("No sign of life could be given: %s", error)
        del engine


def _beat(engine: Engine, worker: str) -> None:
    with engine.begin() as connection:
        now = _now(connection)
        upsert(connection, [LifeSign(worker, now)])
        connection.execute(delete(LifeSign).where(LifeSign.at < now - _FORGOTTEN_AFTER_S))


def _now(connection: Connection) -> float:
    """Return the time by the database's clock: those of two hosts may differ. A file has this host's."""
    if connection.dialect.name == "sqlite":
        return time.time()
    return float(connection.execute(select(extract("epoch", func.clock_timestamp()))).scalar_one())
