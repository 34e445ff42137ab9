"""What work cost: each stage of each video, each request of the service, and the machine minute by minute.

A stage's sample is written once, when the stage ends; it says what it cost or why it failed. Reports and the
service read their statistics from here. Dagster's event log says the same, but there each event is a document
of some 10 kB: 100,000 of them take most of a minute, from here less than a second.
"""

from collections.abc import Collection
from dataclasses import dataclass
from sys import intern
from typing import Any

from sqlalchemy import Connection, Engine, Index, Select, Text, UniqueConstraint, delete, insert, select
from sqlalchemy.orm import Mapped, MappedAsDataclass, Session, mapped_column

from yivideo_pipeline.ledger.database import Base, insert_missing, table_of, values_of
from yivideo_pipeline.ledger.postgres import take_turn

Columns = dict[str, list[Any]]
"""A table by columns; all have the same length. True and false may be 1 and 0."""
COUNTED = ("id", "stage", "success", "wall_s", "duration_s", "reused", "kind")
"""The columns of samples that counters need."""
_CHUNK = 1000


@dataclass(frozen=True)
class RunOrigin:
    """The run that a stage is made in; times are Unix seconds.

    `root_id` is the first of the runs that were launched again one after the other: what they did for one
    video is one piece of work. `run_model` is the model that the run was launched with.
    """

    run_id: str
    root_id: str
    job: str | None = None
    trigger: str | None = None
    run_model: str | None = None
    backfill_id: str | None = None
    run_created_at: float | None = None
    run_started_at: float | None = None


class RunColumns(MappedAsDataclass, kw_only=True):
    """The columns of a `RunOrigin`."""

    run_id: Mapped[str]
    root_id: Mapped[str]
    job: Mapped[str | None] = mapped_column(default=None)
    trigger: Mapped[str | None] = mapped_column(default=None)
    run_model: Mapped[str | None] = mapped_column(default=None)
    backfill_id: Mapped[str | None] = mapped_column(default=None)
    run_created_at: Mapped[float | None] = mapped_column(default=None)
    run_started_at: Mapped[float | None] = mapped_column(default=None)


class Sample(RunColumns, Base, kw_only=True):
    """What came of one stage of one video in one run; `Sample(**asdict(origin), stage=…)` takes the run's.

    `at` is its end as Unix time. Seconds, megabytes (2**20 bytes) and percent are as in
    `telemetry.measure.StageMetrics`, the service's share included where it did the work. Where an earlier
    result was reused, `rtfx` is None and the rest is the cost of finding it. `duration_s` is the
    length of the video's sound. `attempts` counts from 1. `warnings` are lines. `kind`, `message` and `hint`
    are the error's.

    A `telemetry.measure.PerformanceMetrics` can be made of it: `timestamp` is `at`, `operation` the stage,
    `duration` is `wall_s`, `memory_usage_mb` `rss_peak_mb`, `cpu_usage_percent` 100 × `cpu_s` / `wall_s`,
    `gpu_memory_usage_mb` `gpu_memory_peak_mb`, `audio_duration` `duration_s`.
    """

    __tablename__ = "samples"
    __table_args__ = (
        # A check may refuse what a stage has made: then it has a sample of each.
        UniqueConstraint("run_id", "stage", "key", "success"),
        # A number is never given twice: who has read up to one goes on from there.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False, compare=False)
    stage: Mapped[str]
    key: Mapped[str]
    success: Mapped[bool]
    at: Mapped[float] = mapped_column(index=True)
    wall_s: Mapped[float | None] = mapped_column(default=None)
    cpu_s: Mapped[float | None] = mapped_column(default=None)
    rtfx: Mapped[float | None] = mapped_column(default=None)
    rss_peak_mb: Mapped[float | None] = mapped_column(default=None)
    gpu_memory_peak_mb: Mapped[float | None] = mapped_column(default=None)
    gpu_utilization_mean_pct: Mapped[float | None] = mapped_column(default=None)
    duration_s: Mapped[float | None] = mapped_column(default=None)
    score: Mapped[float | None] = mapped_column(default=None)
    confidence: Mapped[float | None] = mapped_column(default=None)
    attempts: Mapped[int | None] = mapped_column(default=None)
    batch_size: Mapped[int | None] = mapped_column(default=None)
    words: Mapped[int | None] = mapped_column(default=None)
    low_confidence_words: Mapped[int | None] = mapped_column(default=None)
    cues: Mapped[int | None] = mapped_column(default=None)
    reused: Mapped[bool | None] = mapped_column(default=None)
    model: Mapped[str | None] = mapped_column(default=None)
    compute_type: Mapped[str | None] = mapped_column(default=None)
    device: Mapped[str | None] = mapped_column(default=None)
    language: Mapped[str | None] = mapped_column(default=None)
    warnings: Mapped[str | None] = mapped_column(default=None)
    kind: Mapped[str | None] = mapped_column(default=None)
    message: Mapped[str | None] = mapped_column(default=None)
    hint: Mapped[str | None] = mapped_column(default=None)


def record_in_turn(connection: Connection, samples: Collection[Sample]) -> None:
    """Keep samples; their numbers become visible in order, so that no reader goes past one not yet there."""
    take_turn(connection, Sample.__tablename__)
    insert_missing(connection, samples)


class SampleLedger:
    """The samples of all stages."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, *samples: Sample) -> None:
        """Keep samples; one of the same run, stage, video and success that is there stays as it is."""
        with self._engine.begin() as connection:
            record_in_turn(connection, samples)

    def failed_runs(self, run_ids: Collection[str]) -> set[str]:
        """Return those of some runs in which a stage failed."""
        found = select(Sample.run_id).where(Sample.run_id.in_(run_ids), ~Sample.success)
        with self._engine.connect() as connection:
            return set(connection.execute(found).scalars())

    def clear(self, now: float) -> int:
        """Forget what ended up to this Unix time, for good.

        Returns:
            How many samples there were.
        """
        with self._engine.begin() as connection:
            return connection.execute(delete(Sample).where(Sample.at <= now)).rowcount

    def samples(self, since: float = 0.0) -> Columns:
        """Return the samples that ended at or after this Unix time, the oldest first."""
        return self._columns(select(table_of(Sample)).where(Sample.at >= since).order_by(Sample.at))

    def added(self, after: int, limit: int) -> Columns:
        """Return `COUNTED` of the samples kept after the one of this `id`, in that order, `limit` at most."""
        table = table_of(Sample)
        counted = [table.c[name] for name in COUNTED]
        return self._columns(select(*counted).where(table.c.id > after).order_by(table.c.id).limit(limit))

    def _columns(self, query: Select) -> Columns:
        columns: Columns = {column.name: [] for column in query.selected_columns}
        texts = {column.name for column in query.selected_columns if isinstance(column.type, Text)}
        with self._engine.connect() as connection:
            # The driver's own rows, in chunks: SQLAlchemy's, made one by one, would take twice as long.
            cursor = connection.execute(query).cursor
            while cursor and (chunk := cursor.fetchmany(_CHUNK)):
                for name, values in zip(columns, zip(*chunk, strict=True), strict=True):
                    # The same few texts, and each key and run five times: one object for all of them.
                    columns[name].extend(map(_one_of, values) if name in texts else values)
        return columns


def _one_of(text: str | None) -> str | None:
    """Return the one object that stands for all texts that are equal to this one."""
    return None if text is None else intern(text)


KEPT = 50_000
"""Requests that are kept: the oldest make room for new ones."""
KEPT_S = 30 * 86_400
"""How long samples of the machine are kept."""


class RequestSample(Base):
    """One answered request for a recognition over HTTP, not by a run.

    `at` is its end as Unix time; `wall_s` is what the client waited; `duration_s` is the length of the
    sound, None where it was never known. `cpu_s` is its share of the service's processor time. Memory is the
    whole service's, in MB of 2**20 bytes: the most during the work, or at the end where there was none.
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
    cpu_s: Mapped[float | None] = mapped_column(default=None)


class RequestLedger:
    """The samples of the service's own requests; only so many are kept."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, sample: RequestSample) -> None:
        """Keep a sample."""
        wanted = insert(table_of(RequestSample)).returning(RequestSample.id)
        with self._engine.begin() as connection:
            take_turn(connection, RequestSample.__tablename__)  # as `record_in_turn` does
            number = connection.execute(wanted, values_of(sample)).scalar_one()
            connection.execute(delete(RequestSample).where(RequestSample.id <= number - KEPT))

    def added(self, after: int = 0) -> list[RequestSample]:
        """Return the samples kept after the one of this `id`, in the order of their coming."""
        wanted = select(RequestSample).where(RequestSample.id > after).order_by(RequestSample.id)
        with Session(self._engine) as session:
            return list(session.scalars(wanted))

    def clear(self, now: float) -> int:
        """Forget what ended up to this Unix time; returns how many there were."""
        with self._engine.begin() as connection:
            return connection.execute(delete(RequestSample).where(RequestSample.at <= now)).rowcount


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
