"""What the ledger's tables know of each video, side by side.

A list of 100,000 videos is never read as a whole: what puts a video into its place is selected for all of
them (`outlines`), and all else for the videos of one page alone (`known_videos`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Engine,
    Float,
    Select,
    Subquery,
    Text,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    select,
    true,
    union,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from yivideo_pipeline.ledger.database import greatest, members
from yivideo_pipeline.ledger.failures import Quarantined, StageFailure
from yivideo_pipeline.ledger.files import FileRecord
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.ledger.samples import Sample
from yivideo_pipeline.ledger.workers import AtWork, living
from yivideo_pipeline.stages import LAST_STAGE, STAGES

_FIRST_STAGE = next(iter(STAGES))
_KEYS_AT_ONCE = 500


class KnownVideo(NamedTuple):
    """One video; None is what is not known. Times are Unix seconds.

    `why` and `detail` are the watch's last decision on its file. `made_at` is when its subtitles were made or
    found, `audio_s` the length of its sound. `failed_…` is its open failure, or the one for which it is
    quarantined, then `aside_since` too. `stage` is what a worker does now, `stage_fraction` how much of it is
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
    confidence: float | None
    failed_stage: str | None
    failed_kind: str | None
    failed_message: str | None
    failed_hint: str | None
    failed_at: float | None
    aside_since: float | None
    stage: str | None = None
    stage_since: float | None = None
    stage_fraction: float | None = None


def workers_by_video(session: Session) -> dict[str, AtWork]:
    """Return what is being worked on now, by the video's key."""
    return {entry.key: entry for entry in living(session, session.scalars(select(AtWork)).all())}


def outlines(
    session: Session, working: Mapping[str, AtWork], unseen: Sequence[str] | None = None
) -> Subquery:
    """Return a row for each video that anything is known of, to select from.

    Its columns are `key`, `why`, `made_at`, `failed_at`, `aside_since`; `working_since`, when a worker began
    with what it does now; and `changed_at`, the latest of the times.

    Args:
        session: What it is selected in.
        working: What is being worked on now.
        unseen: What `find_unseen` returns, where it is known: the rows of all videos then take half the time.
    """
    if unseen is None:
        known = _known_keys(_unseen())
    else:
        known = _known_keys(members(session, unseen) if unseen else None)
    since = cast(null(), Float)
    if working:
        since = case({key: entry.since for key, entry in working.items()}, value=known.c.key, else_=since)
    failed = (
        select(StageFailure.key, func.max(StageFailure.at).label("at"))
        .where(~StageFailure.overcome)
        .group_by(StageFailure.key)
        .subquery()
    )
    times = (known.c.first_seen, Materialization.made_at, failed.c.at, Quarantined.since, since)
    changed_at = greatest(session, *(func.coalesce(time, 0.0) for time in times))
    return (
        select(
            known.c.key,
            known.c.why,
            Materialization.made_at,
            failed.c.at.label("failed_at"),
            Quarantined.since.label("aside_since"),
            since.label("working_since"),
            changed_at.label("changed_at"),
        )
        .outerjoin(Materialization, _is_made(known.c.key))
        .outerjoin(failed, failed.c.key == known.c.key)
        .outerjoin(Quarantined, Quarantined.key == known.c.key)
        .subquery()
    )


def _known_keys(unseen: Select | CompoundSelect | None) -> Subquery:
    """Return the keys of all videos, with what the watch knows of them; it has seen nearly all."""
    seen = select(FileRecord.key, FileRecord.why, FileRecord.first_seen)
    if unseen is None:
        return seen.subquery()
    key = unseen.subquery().c[0]
    others = select(key, cast(null(), Text), cast(null(), Float))
    others = others.where(~exists().where(FileRecord.key == key))  # the watch may have seen one since
    return union_all(seen, others).subquery()


def find_unseen(session: Session) -> Sequence[str]:
    """Return the keys of the videos that the watch has never seen: a command or a request named them."""
    return session.scalars(_unseen()).all()


def _unseen() -> CompoundSelect:
    # A stage needs what the ones before it have made; the last one may be all that a new ledger knows.
    is_known = Materialization.stage.in_((_FIRST_STAGE, LAST_STAGE))
    sources = (
        (Materialization.key, is_known),
        (Quarantined.key, true()),
        (StageFailure.key, ~StageFailure.overcome),
        (AtWork.key, true()),
    )
    # Looked for apart from the others, so that the keys of a whole library need not be sorted.
    return union(
        *(select(key).where(which, ~exists().where(FileRecord.key == key)) for key, which in sources)
    )


def find_known(engine: Engine, keys: Sequence[str]) -> set[str]:
    """Return those of some keys that a list of videos has, since anything is known of them."""
    known = _known_keys(_unseen())
    with Session(engine) as session:
        parts = (keys[start : start + _KEYS_AT_ONCE] for start in range(0, len(keys), _KEYS_AT_ONCE))
        return {
            key for part in parts for key in session.scalars(select(known.c.key).where(known.c.key.in_(part)))
        }


def audio_length(key: ColumnElement[str]) -> ColumnElement[Any]:
    """Return the length of a video's sound, to select beside its `key`."""
    stage = aliased(Materialization)
    return select(func.max(stage.audio_s)).where(stage.key == key).scalar_subquery()


def readability(key: ColumnElement[str]) -> ColumnElement[Any]:
    """Return the score of a video's latest subtitles, to select beside its `key`."""
    made = aliased(Materialization)
    return (
        select(Sample.score)
        .join(made, _is_rating_of(made))
        .where(made.key == key, made.stage == LAST_STAGE)
        .scalar_subquery()
    )


def known_videos(
    session: Session, keys: Sequence[str], working: Mapping[str, AtWork]
) -> dict[str, KnownVideo]:
    """Return all that is known of some videos, of one page for example, by key.

    Args:
        session: What it is selected in.
        keys: Their keys; of most of these something is known.
        working: What is being worked on now.
    """
    if not keys:
        return {}
    rows = session.execute(_details(keys)).all()
    return {row[0]: _known(row, working.get(row[0])) for row in rows}


def _known(row: Any, work: AtWork | None) -> KnownVideo:
    return KnownVideo(*row) if work is None else KnownVideo(*row, work.stage, work.since, work.fraction)


def _details(keys: Sequence[str]) -> Select:
    asked = union_all(*(select(literal(key, Text).label("key")) for key in keys)).subquery()
    key = asked.c.key
    open_failure = aliased(StageFailure)
    latest = (
        select(func.max(open_failure.at))
        .where(open_failure.key == key, ~open_failure.overcome)
        .scalar_subquery()
    )
    is_latest = (StageFailure.key == key) & ~StageFailure.overcome & (StageFailure.at == latest)
    failure = ("stage", "kind", "message", "hint", "at")
    return (
        select(
            key,
            *(FileRecord.why, FileRecord.detail, FileRecord.first_seen, Materialization.made_at),
            *(audio_length(key), Sample.language, Sample.score, Sample.confidence),
            *(func.coalesce(getattr(Quarantined, name), getattr(StageFailure, name)) for name in failure),
            Quarantined.since,
        )
        .select_from(asked)
        .outerjoin(FileRecord, FileRecord.key == key)
        .outerjoin(Materialization, _is_made(key))
        .outerjoin(Sample, _is_rating_of(Materialization))
        .outerjoin(StageFailure, is_latest)
        .outerjoin(Quarantined, Quarantined.key == key)
    )


def _is_made(key: ColumnElement[str]) -> ColumnElement[Any]:
    return (Materialization.key == key) & (Materialization.stage == LAST_STAGE)


def _is_rating_of(made: Any) -> Any:
    """Return whether a sample is that of a materialization: its run made or found it."""
    return (
        (Sample.run_id == made.run_id)
        & (Sample.stage == made.stage)
        & (Sample.key == made.key)
        & Sample.success
    )
