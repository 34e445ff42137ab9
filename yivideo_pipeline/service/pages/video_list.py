"""The list of videos as the library page shows it: each video's state and why, filtered, sorted and paged.

It knows only the ledger's rows, and no request, so that it is tested without a service.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from yivideo_pipeline.ledger.videos import KnownVideo
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.storage.partition_keys import decode_key

VideoState = Literal["running", "failed", "quarantined", "waiting", "done", "skipped", "deleted"]
STATES: tuple[VideoState, ...] = get_args(VideoState)
SortOrder = Literal["changed", "name", "length", "readability", "made"]
SORT_ORDERS: tuple[SortOrder, ...] = get_args(SortOrder)
PAGE_SIZE = 50

_DELETED = {Reason.GONE, Reason.RETIRED, Reason.DELETED}


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


def list_videos(videos: Sequence[KnownVideo], query: VideoQuery) -> VideoList:
    """Return one page of the videos that a query finds."""
    text = query.search.strip().casefold()
    found = [
        (video, state_of(video)) for video in videos if not text or text in shown_path(video.key).casefold()
    ]
    counts = Counter(state for _, state in found)
    chosen = [video for video, state in found if query.state in (None, state)]
    chosen.sort(key=_SORT_KEYS[query.order])
    pages = max(1, -(-len(chosen) // PAGE_SIZE))
    page = min(max(query.page, 1), pages)
    rows = [row_of(video) for video in chosen[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]]
    return VideoList(rows, counts, len(chosen), page, pages)


def row_of(video: KnownVideo) -> VideoRow:
    """Return a video as the list shows it."""
    path = PurePosixPath(shown_path(video.key))
    folder = "" if path.parent == PurePosixPath() else path.parent.as_posix()
    return VideoRow(video, state_of(video), path.name, folder)


def state_of(video: KnownVideo) -> VideoState:
    """Return a video's state: what happens with it now counts more than what happened before."""
    if video.stage is not None:
        return "running"
    if video.aside_since is not None:
        return "quarantined"
    if video.failed_at is not None:
        return "failed"
    reason = _decided_reason(video)
    if reason in _DELETED:
        return "deleted"
    if reason and reason.action in ("take_again", "wait"):
        return "waiting"
    if video.made_at is not None:
        return "done"
    # The watch has never seen a video of which a command processed only some stages.
    is_queued = reason is None or reason is Reason.TAKEN or reason.action == "take"
    return "waiting" if is_queued else "skipped"


def reason_of(video: KnownVideo) -> tuple[Reason | None, str]:
    """Return why a video waits or is skipped, and the details; None where it waits for Dagster."""
    reason = _decided_reason(video)
    if reason is None or reason is Reason.TAKEN:
        return None, ""
    return reason, video.detail or ""


def shown_path(key: str) -> str:
    """Return a key's path as text that any page can show."""
    return os.fsencode(decode_key(key)).decode("utf-8", "replace")


def _decided_reason(video: KnownVideo) -> Reason | None:
    """Return the reason of the watch's last decision; None if it has never seen the video."""
    return Reason[video.why] if video.why else None


def _changed_at(video: KnownVideo) -> float:
    times = (video.first_seen, video.made_at, video.failed_at, video.aside_since, video.stage_since)
    return max((time for time in times if time is not None), default=0.0)


_SORT_KEYS: dict[SortOrder, Callable[[KnownVideo], Any]] = {
    "changed": lambda video: (-_changed_at(video), video.key),
    "name": lambda video: (shown_path(video.key).casefold(), video.key),
    "length": lambda video: (-(video.audio_s or -1.0), video.key),
    "readability": lambda video: (video.score is None, video.score, video.key),
    "made": lambda video: (-(video.made_at or 0.0), video.key),
}
"""Videos with an unknown value come last; the least readable subtitles come first."""
