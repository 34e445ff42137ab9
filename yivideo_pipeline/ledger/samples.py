"""What each stage of each video cost or why it failed, copied from Dagster's event log to be read at once.

The event log is the truth, and this a cache that is filled again where it is deleted: there each event is a
document of some 10 kB, and 100,000 of them take most of a minute; from here they take less than a second.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    Table,
    Text,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert

from yivideo_pipeline.ledger.database import tables


@dataclass(frozen=True)
class Sample:
    """What came of one stage of one video in one run.

    `at` is its end as Unix time. Seconds, megabytes (2**20 bytes) and percent are as in `telemetry.metrics`;
    `rtfx` is None where an earlier result was reused. `duration_s` is the length of the video's sound.
    `attempts` counts from 1. `warnings` are lines. `kind`, `message` and `hint` are the error's.

    A `telemetry.sample.PerformanceSample` can be made of it: `timestamp` is `at`, `operation` the stage,
    `duration` is `wall_s`, `memory_usage_mb` `rss_peak_mb`, `cpu_usage_percent` 100 × `cpu_s` / `wall_s`,
    `gpu_memory_usage_mb` `gpu_memory_peak_mb`, `audio_duration` `duration_s`.
    """

    run_id: str
    stage: str
    key: str
    success: bool
    at: float
    wall_s: float | None = None
    cpu_s: float | None = None
    rtfx: float | None = None
    rss_peak_mb: float | None = None
    gpu_memory_peak_mb: float | None = None
    gpu_utilization_mean_pct: float | None = None
    duration_s: float | None = None
    score: float | None = None
    attempts: int | None = None
    batch_size: int | None = None
    words: int | None = None
    low_confidence_words: int | None = None
    cues: int | None = None
    reused: bool | None = None
    model: str | None = None
    compute_type: str | None = None
    device: str | None = None
    language: str | None = None
    warnings: str | None = None
    kind: str | None = None
    message: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class RunEntry:
    """One run; times are Unix, None where it did not get so far.

    `root_id` is the first of the runs that were launched again one after the other. `key` is the video of a
    run of one video; `trigger` and `model` are the run's tags.
    """

    run_id: str
    root_id: str
    job: str
    status: str
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    key: str | None = None
    trigger: str | None = None
    model: str | None = None
    backfill_id: str | None = None


_NUMBERS = (
    "wall_s", "cpu_s", "rtfx", "rss_peak_mb", "gpu_memory_peak_mb", "gpu_utilization_mean_pct",
    "duration_s", "score",
)  # fmt: skip
_COUNTS = ("attempts", "batch_size", "words", "low_confidence_words", "cues")
_TEXTS = ("model", "compute_type", "device", "language", "warnings", "kind", "message", "hint")

SAMPLES = Table(
    "samples",
    tables,
    Column("run_id", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("success", Boolean, primary_key=True),
    Column("at", Float, nullable=False, index=True),
    *(Column(name, Float) for name in _NUMBERS),
    *(Column(name, Integer) for name in _COUNTS),
    Column("reused", Boolean),
    *(Column(name, Text) for name in _TEXTS),
)
RUNS = Table(
    "sampled_runs",
    tables,
    Column("run_id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("root_id", "job", "status")),
    Column("created_at", Float, nullable=False),
    *(Column(name, Float) for name in ("started_at", "ended_at")),
    *(Column(name, Text) for name in ("key", "trigger", "model", "backfill_id")),
)
CURSORS = Table(
    "sample_cursors",
    tables,
    Column("source", Text, primary_key=True),
    Column("place", Text, nullable=False),
)

Columns = dict[str, list[Any]]
"""A table by columns; all have the same length. True and false are 1 and 0."""
_CHUNK = 1000
_CLEARED = "cleared"
"""In place of a source: the time up to which a person wanted all forgotten."""
SAMPLE_FIELDS = tuple(field.name for field in fields(Sample))
RUN_FIELDS = tuple(field.name for field in fields(RunEntry))


class SampleLedger:
    """The samples, the runs they come from, and how far each source of theirs was read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def place(self, source: str) -> str | None:
        """Return how far a source was read; None: not at all."""
        with self._engine.connect() as connection:
            return connection.scalar(select(CURSORS.c.place).where(CURSORS.c.source == source))

    def add(self, source: str, place: str, samples: Sequence[Sample]) -> None:
        """Keep what was read of a source, and how far it was read: both, or neither."""
        with self._engine.begin() as connection:
            _keep(connection, samples)
            _move(connection, source, place)

    def add_runs(self, runs: Sequence[RunEntry], failures: Sequence[Sample]) -> None:
        """Keep runs as they are now, and what failed in them."""
        latest = insert(RUNS)
        latest = latest.on_conflict_do_update(set_={name: latest.excluded[name] for name in RUN_FIELDS})
        with self._engine.begin() as connection:
            cleared_at = _cleared_at(connection)
            wanted = [run for run in runs if run.ended_at is None or run.ended_at > cleared_at]
            if wanted:
                connection.execute(latest, [asdict(run) for run in wanted])
            _keep(connection, failures)

    def move(self, source: str, place: str) -> None:
        """Note how far a source was read."""
        with self._engine.begin() as connection:
            _move(connection, source, place)

    def forget(self) -> None:
        """Forget all, so that the sources are read from their beginning; what was cleared stays so."""
        with self._engine.begin() as connection:
            for table in (SAMPLES, RUNS):
                connection.execute(delete(table))
            connection.execute(delete(CURSORS).where(CURSORS.c.source != _CLEARED))

    def clear(self, now: float) -> int:
        """Forget what ended up to this Unix time, for good: no reading of the sources brings it back.

        Returns:
            How many samples there were.
        """
        with self._engine.begin() as connection:
            _move(connection, _CLEARED, repr(now))
            connection.execute(delete(RUNS).where(RUNS.c.ended_at <= now))
            return connection.execute(delete(SAMPLES).where(SAMPLES.c.at <= now)).rowcount

    def samples(self, since: float = 0.0) -> Columns:
        """Return the samples that ended at or after this Unix time, the oldest first."""
        names = ", ".join(SAMPLE_FIELDS)
        return self._columns(SAMPLE_FIELDS, f"SELECT {names} FROM samples WHERE at >= ? ORDER BY at", since)

    def added(self, start: int = 0) -> Columns:
        """Return the samples from a `rowid` on, in the order in which they were kept, with their `rowid`."""
        names = ("rowid", *SAMPLE_FIELDS)
        wanted = f"SELECT {', '.join(names)} FROM samples WHERE rowid >= ? ORDER BY rowid"
        return self._columns(names, wanted, start)

    def runs(self, since: float = 0.0) -> Columns:
        """Return the runs that were made at or after this Unix time, the oldest first."""
        names = ", ".join(f'"{name}"' for name in RUN_FIELDS)
        wanted = f"SELECT {names} FROM sampled_runs WHERE created_at >= ? ORDER BY created_at"
        return self._columns(RUN_FIELDS, wanted, since)

    def _columns(self, names: Sequence[str], wanted: str, since: float) -> Columns:
        # By the driver itself, in chunks: SQLAlchemy's rows, made one by one, would take twice as long.
        columns: Columns = {name: [] for name in names}
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(wanted, (since,))
            while chunk := cursor.fetchmany(_CHUNK):
                for column, values in zip(columns.values(), zip(*chunk, strict=True), strict=True):
                    column.extend(values)
        finally:
            connection.close()
        return columns


def _keep(connection: Connection, samples: Sequence[Sample]) -> None:
    cleared_at = _cleared_at(connection) if samples else 0.0
    wanted = [asdict(sample) for sample in samples if sample.at > cleared_at]
    if wanted:
        connection.execute(insert(SAMPLES).on_conflict_do_nothing(), wanted)


def _cleared_at(connection: Connection) -> float:
    return float(connection.scalar(select(CURSORS.c.place).where(CURSORS.c.source == _CLEARED)) or 0)


def _move(connection: Connection, source: str, place: str) -> None:
    moved = insert(CURSORS).values(source=source, place=place)
    connection.execute(moved.on_conflict_do_update(index_elements=["source"], set_={"place": place}))


# PART ledger/requests.py: What the service's own recognitions cost or why they failed: those asked for over HTTP, not by runs.

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


# PART ledger/machine.py: How the machine was, minute by minute, while the service ran.

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
