"""What is waiting or at work: videos, and seconds of sound."""

from typing import Any, NamedTuple

from sqlalchemy import Engine, case, exists, func, select
from sqlalchemy.orm import Session

from yivideo_pipeline.ledger.database import table_of
from yivideo_pipeline.ledger.failures import Quarantined, StageFailure
from yivideo_pipeline.ledger.files import FileRecord
from yivideo_pipeline.ledger.materializations import Materialization


class Backlog(NamedTuple):
    """The videos that were taken and have no subtitles yet, and the seconds of sound in them.

    The length of a video that was never opened is guessed by its size, at the library's usual bytes a second.
    """

    videos: int
    audio_s: float


def read_backlog(engine: Engine) -> Backlog:
    """Return what is waiting or at work; what failed is not, until it is released or its file changes."""
    with Session(engine) as session:
        known_s, known_bytes = session.execute(_LENGTHS).one()
        videos, open_bytes, open_s = session.execute(_OPEN).one()
    per_byte = float(known_s) / float(known_bytes) if known_bytes else 0.0
    return Backlog(videos, float(open_s or 0) + float(open_bytes or 0) * per_byte)


def _backlog_queries() -> tuple[Any, Any]:
    """Return the queries for lengths and sizes that are both known, and for what is open."""
    long = (
        select(Materialization.key, func.max(Materialization.audio_s).label("audio_s"))
        .group_by(Materialization.key)
        .subquery()
    )
    files, size = table_of(FileRecord), FileRecord.size_bytes
    lengths = (
        select(func.sum(long.c.audio_s), func.sum(size))
        .select_from(files.join(long, long.c.key == files.c.key))
        .where(long.c.audio_s.is_not(None))
    )
    made = exists().where(
        Materialization.key == files.c.key,
        Materialization.stage == "subtitles",
        Materialization.made_at >= files.c.steady_since,
    )
    failed = exists().where(StageFailure.key == files.c.key, ~StageFailure.overcome)
    aside = exists().where(Quarantined.key == files.c.key)
    unknown_bytes = func.sum(case((long.c.audio_s.is_(None), size), else_=0))
    still_open = (
        select(func.count(), unknown_bytes, func.sum(long.c.audio_s))
        .select_from(files.outerjoin(long, long.c.key == files.c.key))
        .where(files.c.taken_size_bytes.is_not(None), files.c.missing_since.is_(None), ~made, ~failed, ~aside)
    )
    return lengths, still_open


_LENGTHS, _OPEN = _backlog_queries()
