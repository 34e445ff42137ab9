"""What one worker at a time may do, whichever host it is on.

A lease is a row with the name of its holder. It needs no open transaction, so it works behind pgbouncer; and
it ends with its holder, since the next one sees that the worker is gone (`ledger.alive`). A worker that was
cut off from the database for long may find its lease with another: what leases guard must do no harm when it
is done twice, and only cost time.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from yivideo_pipeline.ledger.alive import LifeSign, gone_workers, keep_beating, worker_of_this_process
from yivideo_pipeline.ledger.database import Base, insert_missing

POLL_S = 0.5
"""Seconds between two looks at a lease that another has."""

_held: set[str] = set()
"""The tokens of this process's leases: one that could not be given back is not among them."""

log = logging.getLogger(__name__)


class Lease(Base):
    """Who may do what the name says; `token` tells the holders in one process apart."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    worker: Mapped[str]
    token: Mapped[str]


class LeaseLedger:
    """The leases, by name."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def hold(self, name: str, on_wait: Callable[[str], object] = lambda holder: None) -> Generator[None]:
        """Hold a lease; wait while another thread or worker has it.

        Args:
            name: What it is for.
            on_wait: Called now and then meanwhile with the holder's name; what it raises ends the wait.
        """
        keep_beating(self._engine)
        own, waited_for = Lease(name, worker_of_this_process(), uuid4().hex), ""
        _held.add(own.token)
        try:
            while holder := self._take(own):
                if holder != waited_for:
                    log.info("Waiting for worker %s, which holds %s", holder, name)
                    waited_for = holder
                on_wait(holder)
                time.sleep(POLL_S)
            yield
        finally:
            _held.discard(own.token)
            self._give_back(own)

    def _take(self, own: Lease) -> str | None:
        """Return None once the lease is held, else who has it."""
        with self._engine.begin() as connection:
            insert_missing(connection, [Lease(own.name, own.worker, own.token)])
            found = connection.execute(
                select(Lease.worker, Lease.token).where(Lease.name == own.name)
            ).first()
            if found is None:  # given back in between
                return own.worker
            if found.token == own.token:
                return None
            if not _is_free(connection, own, *found):
                return found.worker
            taken = update(Lease).where(Lease.name == own.name, Lease.token == found.token)
            rows = connection.execute(taken.values(worker=own.worker, token=own.token)).rowcount
            return None if rows else found.worker

    def _give_back(self, own: Lease) -> None:
        try:
            with self._engine.begin() as connection:
                connection.execute(delete(Lease).where(Lease.token == own.token))
        except Exception as error:  # noqa: BLE001 - it ends with this process; what was done stands
            log.warning("The lease %s could not be given back: %s", own.name, error)


def _is_free(connection: Connection, own: Lease, worker: str, token: str) -> bool:
    if worker == own.worker:
        return token not in _held
    is_known = connection.scalar(select(LifeSign.at).where(LifeSign.worker == worker)) is not None
    return not is_known or worker in gone_workers(connection, [worker])
