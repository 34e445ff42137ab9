"""Operations, the unit of all performance figures, selected from the samples by the database.

An operation is a stage of one video, what one run (launched again or not) did for one video in several
stages, or a request of the service. Only those of a window of time are read, as bare columns: memory grows
with the window, not with the history.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Float,
    Label,
    Select,
    SQLColumnExpression,
    and_,
    case,
    cast,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    union_all,
)

from yivideo_pipeline.ledger.samples import Columns, RequestSample, Sample

COLUMNS = (
    "operation", "key", "run_id", "at", "duration_s", "audio_s", "success", "retries", "memory_mb", "cpu_pct",
    "gpu_memory_mb", "gpu_utilization_pct", "batch_size", "reused", "kind", "message", "hint",
)  # fmt: skip
"""The columns of operations.

`at` is the end as Unix time. `duration_s` is missing if the operation failed or only found earlier results,
`audio_s` (the audio that was processed) also if the transcript was an earlier one. Cost is that of the stages
that were made, missing if there were none; then the operation is `reused`.
"""
_TRANSCRIPT = "transcript"
_CHUNK = 5000

_reused = func.coalesce(Sample.reused, False)
_made = and_(Sample.success, not_(_reused))


@dataclass(frozen=True)
class Window:
    """From one Unix time to another."""

    start: float
    end: float

    @property
    def length_s(self) -> float:
        """Its length in seconds."""
        return self.end - self.start

    def before(self) -> "Window":
        """Return the window of the same length that ends where this one starts."""
        return Window(self.start - self.length_s, self.start)

    def has(self, at: SQLColumnExpression[Any]) -> ColumnElement[bool]:
        """Return the condition that a time lies in it."""
        return and_(at >= self.start, at < self.end)


def stage_operations(window: Window, stage: str | None = None, name: str | None = None) -> Select:
    """Select each sample of a stage (None: of all) as an operation, named like its stage by default."""
    cost = not_(_reused)
    values = {
        "operation": literal(name) if name else Sample.stage,
        "key": Sample.key,
        "run_id": Sample.run_id,
        "at": Sample.at,
        "duration_s": case((_made, Sample.wall_s)),
        "audio_s": case((_made, Sample.duration_s)),
        "success": Sample.success,
        "retries": func.coalesce(Sample.attempts, 1) - 1,
        "memory_mb": case((cost, Sample.rss_peak_mb)),
        "cpu_pct": case((and_(cost, Sample.wall_s > 0), 100 * Sample.cpu_s / Sample.wall_s)),
        "gpu_memory_mb": case((cost, Sample.gpu_memory_peak_mb)),
        "gpu_utilization_pct": case((cost, Sample.gpu_utilization_mean_pct)),
        "batch_size": case((cost, Sample.batch_size)),
        "reused": _reused,
        "kind": Sample.kind,
        "message": Sample.message,
        "hint": Sample.hint,
    }
    chosen = select(*_labels(values)).where(window.has(Sample.at))
    return chosen if stage is None else chosen.where(Sample.stage == stage)


def video_operations(window: Window, name: str, stages: Sequence[str], last: str) -> Select:
    """Select what was done for one video in several stages, where it has ended in the window.

    Work under way is left out: its last stage is not made yet, and its latest sample is no failure.

    Args:
        window: When it ended.
        name: The operation's name.
        stages: Its stages.
        last: The stage with which it is made.
    """
    work = (Sample.root_id, Sample.key)
    mine = Sample.stage.in_(stages)
    recent = select(*work).where(mine, window.has(Sample.at)).distinct().subquery()
    is_recent = and_(Sample.root_id == recent.c.root_id, Sample.key == recent.c.key)
    newest = func.row_number().over(partition_by=work, order_by=(Sample.at.desc(), Sample.id.desc()))
    ends = select(Sample, newest.label("place")).join(recent, is_recent).where(mine).subquery()
    sums = _sum_up(last).join(recent, is_recent).where(mine).group_by(*work).subquery()
    end, total = ends.c, sums.c
    is_made = and_(end.success, total.made > 0)
    values = {
        "operation": literal(name),
        "key": end.key,
        "run_id": end.run_id,
        "at": end.at,
        "duration_s": case((is_made, total.wall_s)),
        "audio_s": case((and_(end.success, total.reused_transcripts == 0), total.audio_s)),
        "success": end.success,
        "retries": total.retries,
        "memory_mb": total.memory_mb,
        "cpu_pct": case((total.wall_s > 0, 100 * total.cpu_s / total.wall_s)),
        "gpu_memory_mb": total.gpu_memory_mb,
        "gpu_utilization_pct": total.gpu_utilization_pct,
        "batch_size": total.batch_size,
        "reused": and_(end.success, total.made == 0),
        "kind": end.kind,
        "message": end.message,
        "hint": end.hint,
    }
    same = and_(end.root_id == total.root_id, end.key == total.key)
    has_ended = or_(not_(end.success), total.finished > 0)
    return select(*_labels(values)).join(sums, same).where(end.place == 1, has_ended, window.has(end.at))


def request_operations(window: Window, name: str | None = None) -> Select:
    """Select the service's own requests, those of one operation or all."""
    one = RequestSample
    values = {
        "operation": one.operation,
        "key": null(),
        "run_id": null(),
        "at": one.at,
        "duration_s": case((one.success, one.wall_s)),
        "audio_s": case((one.success, one.duration_s)),
        "success": one.success,
        "retries": literal(0),
        "memory_mb": one.rss_peak_mb,
        "cpu_pct": case((one.wall_s > 0, 100 * one.cpu_s / one.wall_s)),
        "gpu_memory_mb": one.gpu_memory_peak_mb,
        "gpu_utilization_pct": cast(null(), Float),
        "batch_size": cast(null(), Float),
        "reused": literal(False),
        "kind": one.kind,
        "message": one.message,
        "hint": one.hint,
    }
    chosen = select(*_labels(values)).where(window.has(one.at))
    return chosen if name is None else chosen.where(one.operation == name)


class OperationLedger:
    """Reads operations; it writes nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, *queries: Select) -> Iterator[Columns]:
        """Yield the operations of some queries together, the oldest first, in chunks of columns."""
        together = union_all(*queries).subquery() if len(queries) > 1 else queries[0].subquery()
        with self._engine.connect() as connection:
            # PostgreSQL's driver would take all rows at once.
            rows = connection.execution_options(stream_results=True).execute(
                select(together).order_by(together.c.at)
            )
            for chunk in rows.partitions(_CHUNK):
                yield dict(zip(COLUMNS, map(list, zip(*chunk, strict=True)), strict=True))

    def run_waits(self, window: Window) -> list[float]:
        """Return how many seconds each run waited that started in the window."""
        waited = func.max(Sample.run_started_at - Sample.run_created_at)
        runs = select(waited).where(window.has(Sample.run_started_at)).group_by(Sample.run_id)
        with self._engine.connect() as connection:
            return [max(0.0, wait_s) for wait_s in connection.execute(runs).scalars() if wait_s is not None]


def _sum_up(last: str) -> Select:
    """Select what the samples of one piece of work add up to; those that were reused cost nothing."""
    cost = not_(_reused)
    return select(
        Sample.root_id,
        Sample.key,
        func.coalesce(func.sum(case((cost, Sample.wall_s))), 0.0).label("wall_s"),
        func.coalesce(func.sum(case((cost, Sample.cpu_s))), 0.0).label("cpu_s"),
        (func.sum(func.coalesce(Sample.attempts, 1) - 1) + func.count(Sample.run_id.distinct()) - 1).label(
            "retries"
        ),
        func.max(Sample.duration_s).label("audio_s"),
        func.max(case((cost, Sample.rss_peak_mb))).label("memory_mb"),
        func.max(case((cost, Sample.gpu_memory_peak_mb))).label("gpu_memory_mb"),
        func.max(case((cost, Sample.gpu_utilization_mean_pct))).label("gpu_utilization_pct"),
        func.max(case((cost, Sample.batch_size))).label("batch_size"),
        _count(_made).label("made"),
        _count(and_(Sample.success, Sample.stage == last)).label("finished"),
        _count(and_(_reused, Sample.stage == _TRANSCRIPT)).label("reused_transcripts"),
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))


def _labels(values: dict[str, Any]) -> list[Label]:
    return [values[name].label(name) for name in COLUMNS]
