"""What the service's own recognitions cost, and how the machine was minute by minute."""

from sqlalchemy import Engine, Index, delete, insert, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from yivideo_pipeline.ledger.database import Base, insert_missing, table_of, values_of

KEPT = 50_000
"""Requests that are kept: the oldest make room for new ones."""
KEPT_S = 30 * 86_400
"""How long samples of the machine are kept."""


class RequestSample(Base):
    """One answered request for a recognition over HTTP, not by a run.

    `at` is its end as Unix time; `wall_s` is what the client waited; `duration_s` is the length of the
    sound, None where it was never known. Memory is the whole service's at the end, in MB of 2**20 bytes.
    `kind`, `message` and `hint` are the error's.
    """

    __tablename__ = "service_requests"
    # A number is never given twice: who has read up to one reads on from there.
    __table_args__ = (Index("service_requests_by_time", "at"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True, init=False, compare=False)
    operation: Mapped[str]
    at: Mapped[float]
    success: Mapped[bool]
    wall_s: Mapped[float]
    duration_s: Mapped[float | None] = mapped_column(default=None)
    rss_peak_mb: Mapped[float | None] = mapped_column(default=None)
    gpu_memory_peak_mb: Mapped[float | None] = mapped_column(default=None)
    kind: Mapped[str | None] = mapped_column(default=None)
    message: Mapped[str | None] = mapped_column(default=None)
    hint: Mapped[str | None] = mapped_column(default=None)


class RequestLedger:
    """The samples of the service's own requests; only so many are kept."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, sample: RequestSample) -> None:
        """Keep a sample."""
        wanted = insert(table_of(RequestSample)).returning(RequestSample.id)
        with self._engine.begin() as connection:
            number = connection.execute(wanted, values_of(sample)).scalar_one()
            connection.execute(delete(RequestSample).where(RequestSample.id <= number - KEPT))

    def added(self, after: int = 0) -> list[RequestSample]:
        """Return the samples kept after the one of this `id`, in the order of their coming."""
        wanted = select(RequestSample).where(RequestSample.id > after).order_by(RequestSample.id)
        with Session(self._engine) as session:
            return list(session.scalars(wanted))

    def clear(self) -> int:
        """Forget all; returns how many there were."""
        with self._engine.begin() as connection:
            return connection.execute(delete(RequestSample)).rowcount


class MachineSample(Base):
    """The machine at one moment, `at` as Unix time; None where it can't be known.

    `memory_pct` is of the machine, `rss_mb` (2**20 bytes) of the service; `queued` and `running` are
    Dagster's runs; `places_taken` are requests inside the service.
    """

    __tablename__ = "machine_samples"

    at: Mapped[float] = mapped_column(primary_key=True)
    memory_pct: Mapped[float]
    rss_mb: Mapped[float]
    cpu_pct: Mapped[float]
    gpu_memory_pct: Mapped[float | None] = mapped_column(default=None)
    gpu_utilization_pct: Mapped[float | None] = mapped_column(default=None)
    queued: Mapped[int | None] = mapped_column(default=None)
    running: Mapped[int | None] = mapped_column(default=None)
    places_taken: Mapped[int] = mapped_column(default=0)


class MachineLedger:
    """The samples of the last days."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, sample: MachineSample) -> None:
        """Keep a sample, and forget those that are too old."""
        with self._engine.begin() as connection:
            insert_missing(connection, [sample])
            connection.execute(delete(MachineSample).where(MachineSample.at < sample.at - KEPT_S))

    def since(self, at: float) -> list[MachineSample]:
        """Return the samples taken at or after a Unix time, the oldest first."""
        wanted = select(MachineSample).where(MachineSample.at >= at).order_by(MachineSample.at)
        with Session(self._engine) as session:
            return list(session.scalars(wanted))

    def clear(self) -> None:
        """Forget all."""
        with self._engine.begin() as connection:
            connection.execute(delete(MachineSample))
