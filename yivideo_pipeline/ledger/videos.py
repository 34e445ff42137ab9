"""What the ledger's tables know of each video, side by side, in one query over all of them."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, Subquery, func, select, union

from yivideo_pipeline.ledger.failures import FAILURES, QUARANTINE
from yivideo_pipeline.ledger.files import FILES
from yivideo_pipeline.ledger.materializations import MADE
from yivideo_pipeline.ledger.samples import SAMPLES
from yivideo_pipeline.ledger.workers import AT_WORK, is_gone, select_work


class KnownVideo(NamedTuple):
    """One video; None is what is not known. Times are Unix seconds.

    `why` and `detail` are the watch's last decision on its file. `made_at` is when its subtitles were made or
    found, `audio_s` the length of its sound. `failed_…` is its open failure, or the one for which it was set
    aside, then `aside_since` too. `stage` is what somebody is at now, `stage_fraction` how much of it is
    done.
    """

    key: str
    why: str | None
    detail: str | None
    first_seen: float | None
    made_at: float | None
    audio_s: float | None
    language: str | None
    score: float | None
    failed_stage: str | None
    failed_kind: str | None
    failed_message: str | None
    failed_hint: str | None
    failed_at: float | None
    aside_since: float | None
    stage: str | None = None
    stage_since: float | None = None
    stage_fraction: float | None = None


def known_videos(engine: Engine) -> list[KnownVideo]:
    """Return all videos that anything is known of, in no order; a quarter of a second for 20,000."""
    failed = _latest(FAILURES, FAILURES.c.at, ~FAILURES.c.overcome, "stage", "kind", "message", "hint")
    told = _latest(
        SAMPLES, SAMPLES.c.at, (SAMPLES.c.stage == "subtitles") & SAMPLES.c.success, "language", "score"
    )
    made = select(MADE.c.key, MADE.c.made_at).where(MADE.c.stage == "subtitles").subquery()
    long = select(MADE.c.key, func.max(MADE.c.audio_s).label("audio_s")).group_by(MADE.c.key).subquery()
    sources = (FILES, made, long, QUARANTINE, failed, AT_WORK)
    keys = union(*(select(source.c.key) for source in sources)).subquery()
    found = keys
    for source in (FILES, made, long, told, failed, QUARANTINE):
        found = found.outerjoin(source, source.c.key == keys.c.key)
    failure = [
        func.coalesce(QUARANTINE.c[name], failed.c[name])
        for name in ("stage", "kind", "message", "hint", "at")
    ]
    wanted = select(
        keys.c.key,
        *(FILES.c.why, FILES.c.detail, FILES.c.first_seen),
        *(made.c.made_at, long.c.audio_s, told.c.language, told.c.score),
        *failure,
        QUARANTINE.c.since,
    ).select_from(found)
    with engine.connect() as connection:
        rows = connection.execute(wanted).all()
        busy = {row.key: row for row in connection.execute(select_work()) if not is_gone(row.worker)}
    return [_known(row, busy.get(row[0])) for row in rows]


def _known(row, work) -> KnownVideo:  # noqa: ANN001 - rows of SQLAlchemy's
    return KnownVideo(*row) if work is None else KnownVideo(*row, work.stage, work.since, work.fraction)


def _latest(table, at: ColumnElement, which: ColumnElement, *names: str) -> Subquery:  # noqa: ANN001 - a Table
    """Return each key's latest row: SQLite gives the other columns of the row that has the maximum."""
    columns = [table.c[name] for name in names]
    return (
        select(table.c.key, *columns, func.max(at).label("at")).where(which).group_by(table.c.key).subquery()
    )
