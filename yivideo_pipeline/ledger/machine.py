"""How the machine was, minute by minute, while the service ran."""

from dataclasses import asdict, dataclass, fields

from sqlalchemy import Column, Engine, Float, Integer, Table, delete, select
from sqlalchemy.dialects.sqlite import insert

from yivideo_pipeline.ledger.database import tables

KEPT_S = 30 * 86_400
"""What is older is of no use to anybody."""


@dataclass(frozen=True)
class MachineSample:
    """The machine at one moment, `at` as Unix time; None where it can't be known.

    `memory_pct` is of the machine, `rss_mb` (2**20 bytes) of the service; `queued` and `running` are
    Dagster's runs; `places_taken` are requests inside the service.
    """

    at: float
    memory_pct: float
    rss_mb: float
    cpu_pct: float
    gpu_memory_pct: float | None = None
    gpu_utilization_pct: float | None = None
    queued: int | None = None
    running: int | None = None
    places_taken: int = 0


MACHINE = Table(
    "machine_samples",
    tables,
    Column("at", Float, primary_key=True),
    *(Column(name, Float, nullable=False) for name in ("memory_pct", "rss_mb", "cpu_pct")),
    *(Column(name, Float) for name in ("gpu_memory_pct", "gpu_utilization_pct")),
    *(Column(name, Integer) for name in ("queued", "running")),
    Column("places_taken", Integer, nullable=False),
)
MACHINE_FIELDS = tuple(field.name for field in fields(MachineSample))


class MachineLedger:
    """The samples of the last days."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, sample: MachineSample) -> None:
        """Keep a sample, and forget those that are too old."""
        with self._engine.begin() as connection:
            connection.execute(insert(MACHINE).values(asdict(sample)).on_conflict_do_nothing())
            connection.execute(delete(MACHINE).where(MACHINE.c.at < sample.at - KEPT_S))

    def since(self, at: float) -> list[MachineSample]:
        """Return the samples taken at or after a Unix time, the oldest first."""
        wanted = select(MACHINE).where(MACHINE.c.at >= at).order_by(MACHINE.c.at)
        with self._engine.connect() as connection:
            return [MachineSample(*row) for row in connection.execute(wanted)]

    def clear(self) -> None:
        """Forget all."""
        with self._engine.begin() as connection:
            connection.execute(delete(MACHINE))
