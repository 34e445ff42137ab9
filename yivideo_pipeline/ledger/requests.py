"""What the service's own recognitions cost or why they failed: those asked for over HTTP, not by runs."""

from dataclasses import asdict, dataclass, fields

from sqlalchemy import Boolean, Column, Engine, Float, Index, Integer, Table, Text, delete, func, select

from yivideo_pipeline.ledger.database import tables

KEPT = 50_000
"""The oldest make room for new ones."""


@dataclass(frozen=True)
class RequestSample:
    """One answered request.

    `at` is its end as Unix time; `wall_s` is what the client waited; `duration_s` is the length of the
    sound, None where it was never known. Memory is the whole service's at the end, in MB of 2**20 bytes.
    """

    operation: str
    at: float
    success: bool
    wall_s: float
    duration_s: float | None = None
    rss_peak_mb: float | None = None
    gpu_memory_peak_mb: float | None = None
    kind: str | None = None
    message: str | None = None
    hint: str | None = None


REQUESTS = Table(
    "service_requests",
    tables,
    Column("id", Integer, primary_key=True),
    Column("operation", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("success", Boolean, nullable=False),
    Column("wall_s", Float, nullable=False),
    *(Column(name, Float) for name in ("duration_s", "rss_peak_mb", "gpu_memory_peak_mb")),
    *(Column(name, Text) for name in ("kind", "message", "hint")),
    Index("service_requests_by_time", "at"),
    # A number is never given twice: who has read up to one reads on from there.
    sqlite_autoincrement=True,
)
REQUEST_FIELDS = tuple(field.name for field in fields(RequestSample))


class RequestLedger:
    """The samples of the service's own requests; only so many are kept."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, sample: RequestSample) -> None:
        """Keep a sample."""
        with self._engine.begin() as connection:
            number = connection.execute(REQUESTS.insert().values(asdict(sample))).lastrowid
            connection.execute(delete(REQUESTS).where(REQUESTS.c.id <= number - KEPT))

    def added(self, after: int = 0) -> list[tuple[int, RequestSample]]:
        """Return the samples kept since a number, each with its own number, in the order of their coming."""
        wanted = select(REQUESTS).where(REQUESTS.c.id > after).order_by(REQUESTS.c.id)
        with self._engine.connect() as connection:
            return [(number, RequestSample(*values)) for number, *values in connection.execute(wanted)]

    def clear(self) -> int:
        """Forget all; returns how many there were."""
        with self._engine.begin() as connection:
            count = connection.scalar(select(func.count()).select_from(REQUESTS)) or 0
            connection.execute(delete(REQUESTS))
        return count
