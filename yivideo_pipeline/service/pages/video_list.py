"""The list of videos as the library page shows it: each video's state and why, filtered, sorted and paged.

It knows only the ledger's tables and the unfinished runs, and no request, so that it is tested without a
service. The database counts, sorts and pages; of 100,000 videos no more than one page is read.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from sqlalchemy import (
    ColumnElement,
    Engine,
    SQLColumnExpression,
    Subquery,
    case,
    func,
    literal,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from yivideo_pipeline.ledger.database import members
from yivideo_pipeline.ledger.failures import Quarantined, StageFailure
from yivideo_pipeline.ledger.files import FileRecord
from yivideo_pipeline.ledger.known_videos import (
    KnownVideo,
    audio_length,
    find_unseen,
    known_videos,
    outlines,
    readability,
    workers_by_video,
)
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.storage.partition_keys import decode_key, encode_key

if TYPE_CHECKING:
    from yivideo_pipeline.history.run_queue import VideoRun

VideoState = Literal["running", "failed", "quarantined", "waiting", "done", "skipped", "deleted", "forgotten"]
STATES: tuple[VideoState, ...] = get_args(VideoState)
SortOrder = Literal["changed", "name", "length", "readability", "made"]
SORT_ORDERS: tuple[SortOrder, ...] = get_args(SortOrder)
PAGE_SIZE = 50
Runs = Mapping[str, "VideoRun"]
"""The unfinished run of each video that has one."""
_NO_RUNS: Runs = {}

_DELETED = [Reason.GONE, Reason.RETIRED, Reason.DELETED]


@dataclass(frozen=True)
class VideoQuery:
    """The videos that are to be listed; `page` counts from 1."""

    search: str = ""
    state: VideoState | None = None
    order: SortOrder = "changed"
    page: int = 1


@dataclass(frozen=True)
class VideoRow:
    """One video of the list. `name` and `folder` can be shown, whatever bytes the file's name has."""

    known: KnownVideo
    state: VideoState
    name: str
    folder: str


@dataclass(frozen=True)
class VideoList:
    """One page of the list.

    Attributes:
        rows: The page's videos.
        counts: The number of videos by state, of all that the search finds.
        total: The number of videos on all pages.
        page: The page's number, which exists.
        pages: The number of pages.
    """

    rows: Sequence[VideoRow]
    counts: Counter[VideoState]
    total: int
    page: int
    pages: int


def list_videos(engine: Engine, query: VideoQuery, runs: Runs = _NO_RUNS) -> VideoList:
    """Return one page of the ledger's videos that a query finds; `runs` are the unfinished ones."""
    with Session(engine) as session:
        working = workers_by_video(session)
        # Looked for once, not by each of the statements: that is half of their time.
        videos = outlines(session, working, find_unseen(session))
        state = _state_of(session, videos, runs)
        found = select(videos.c.key, state.label("state")).where(*_matches(videos, query.search))
        numbers = found.with_only_columns(state, func.count()).group_by(state)
        counts = Counter(cast(dict[VideoState, int], dict(session.execute(numbers).tuples().all())))
        total = counts[query.state] if query.state else counts.total() - counts["forgotten"]
        pages = max(1, -(-total // PAGE_SIZE))
        page = min(max(query.page, 1), pages)
        if query.state or counts["forgotten"]:  # else all are listed, and no state is worked out to find them
            found = found.where(_is_in(state, query))
        found = found.order_by(*_order(videos, query.order), videos.c.key)
        shown = session.execute(found.limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)).tuples().all()
        known = known_videos(session, [key for key, _ in shown], working)
    rows = [row_of(known[key], cast(VideoState, state)) for key, state in shown]
    return VideoList(rows, counts, total, page, pages)


def find_keys(engine: Engine, query: VideoQuery, limit: int, runs: Runs = _NO_RUNS) -> Sequence[str]:
    """Return the keys of the videos on all pages of a query, at most `limit`."""
    with Session(engine) as session:
        videos = outlines(session, workers_by_video(session))
        state = _state_of(session, videos, runs)
        found = select(videos.c.key).where(*_matches(videos, query.search), _is_in(state, query))
        return session.scalars(found.order_by(*_order(videos, query.order), videos.c.key).limit(limit)).all()


def find_row(engine: Engine, key: str, runs: Runs = _NO_RUNS) -> VideoRow | None:
    """Return one video as the list shows it; None where nothing is known of it."""
    with Session(engine) as session:
        working = workers_by_video(session)
        videos = outlines(session, working)
        state = session.scalar(select(_state_of(session, videos, runs)).where(videos.c.key == key))
        known = known_videos(session, [key], working)
    return row_of(known[key], cast(VideoState, state)) if state else None


def row_of(video: KnownVideo, state: VideoState) -> VideoRow:
    """Return a video as the list shows it."""
    path = PurePosixPath(shown_path(video.key))
    folder = "" if path.parent == PurePosixPath() else path.parent.as_posix()
    return VideoRow(video, state, path.name, folder)


def reason_of(video: KnownVideo) -> tuple[Reason | None, str]:
    """Return why a video waits or is skipped, and the details; None where it waits for Dagster."""
    reason = Reason[video.why] if video.why else None
    if reason is None or reason is Reason.TAKEN:
        return None, ""
    return reason, video.detail or ""


def shown_path(key: str) -> str:
    """Return a key's path as text that any page can show."""
    return os.fsencode(decode_key(key)).decode("utf-8", "replace")


def _state_of(session: Session, videos: Subquery, runs: Runs) -> ColumnElement[str]:
    """Return a video's state: what happens with it now counts more than what happened before."""
    row = videos.c
    requested = _requested(session, runs)
    again = [reason for reason in Reason if reason.action in ("take_again", "wait")]
    # The watch has never seen a video of which a command processed only some stages.
    queued = [reason for reason in Reason if reason is Reason.TAKEN or reason.action == "take"]
    return case(
        (row.working_since.is_not(None), "running"),
        *([(row.key.in_(members(session, requested)), "waiting")] if requested else []),
        (row.aside_since.is_not(None), "quarantined"),
        (row.failed_at.is_not(None), "failed"),
        (_is_one_of(row.why, _DELETED), "deleted"),
        (_is_one_of(row.why, again), "waiting"),
        (row.made_at.is_not(None), "done"),
        (_is_one_of(row.why, [Reason.FORGOTTEN]), "forgotten"),
        (_is_one_of(func.coalesce(row.why, ""), queued) | (func.coalesce(row.why, "") == ""), "waiting"),
        else_="skipped",
    )


def _requested(session: Session, runs: Runs) -> set[str]:
    """Return which of the videos that failed, were skipped or forgotten an unfinished run makes (again).

    One that has failed in a run at work has had its turn in it, unless that run is a retry.
    """
    if not runs:
        return set()
    left = [reason for reason in Reason if reason.action == "skip" or reason is Reason.FORGOTTEN]
    found = union_all(
        select(StageFailure.key, StageFailure.run_id).where(~StageFailure.overcome),
        select(Quarantined.key, Quarantined.run_id),
        select(FileRecord.key, literal("")).where(_is_one_of(FileRecord.why, left)),
    )
    attempts = [(runs[key], key, run_id) for key, run_id in session.execute(found) if key in runs]
    over = {key for run, key, run_id in attempts if run.place is None and run_id == run.run_id}
    return {key for _, key, _ in attempts} - over


def _is_one_of(why: SQLColumnExpression[Any], reasons: Sequence[Reason]) -> ColumnElement[bool]:
    """Return whether a decision has one of the reasons, by any of its names."""
    return why.in_([name for name, reason in Reason.__members__.items() if reason in reasons])


def _is_in(state: ColumnElement[str], query: VideoQuery) -> ColumnElement[bool]:
    return state == query.state if query.state else state != "forgotten"


def _matches(videos: Subquery, search: str) -> Sequence[ColumnElement[bool]]:
    text = encode_key(search.strip()).lower()
    return [func.lower(videos.c.key).contains(text, autoescape=True)] if text else []


def _order(videos: Subquery, order: SortOrder) -> Sequence[ColumnElement]:
    """Return what the videos are sorted by; those with an unknown value come last."""
    row = videos.c
    if order == "name":
        return [func.lower(row.key)]
    if order == "length":
        return [func.coalesce(audio_length(row.key), -1.0).desc()]
    if order == "readability":  # the least readable subtitles come first
        return [func.coalesce(readability(row.key), 1000.0)]
    if order == "made":
        return [func.coalesce(row.made_at, 0.0).desc()]
    return [row.changed_at.desc()]
