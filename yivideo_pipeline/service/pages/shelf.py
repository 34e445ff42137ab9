"""The library as the page lists it: each video's state and why, searched, filtered, sorted, page by page."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from yivideo_pipeline.ledger.videos import KnownVideo
from yivideo_pipeline.library.decision import Why
from yivideo_pipeline.storage.partition_keys import decode_key

VideoState = Literal["running", "failed", "aside", "waiting", "done", "passed", "gone"]
STATES: tuple[VideoState, ...] = get_args(VideoState)
Order = Literal["changed", "name", "length", "quality", "made"]
ORDERS: tuple[Order, ...] = get_args(Order)
PAGE = 50

_GONE = {Why.GONE.name, Why.RETIRED.name, Why.DELETED.name}
_QUEUED = {Why.TAKEN.name, *(why.name for why in Why if why.action == "take")}
_COMES_AGAIN = {why.name for why in Why if why.action in ("take_again", "wait")}


@dataclass(frozen=True)
class Wanted:
    """What is to be listed; `page` counts from 1."""

    search: str = ""
    state: VideoState | None = None
    order: Order = "changed"
    page: int = 1


@dataclass(frozen=True)
class Row:
    """One video of the list. `name` and `folder` can be shown whatever bytes the file's name has."""

    known: KnownVideo
    state: VideoState
    name: str
    folder: str


@dataclass(frozen=True)
class Shelf:
    """One page of the list. `counts` are of all that the search finds, by state; `page` is one there is."""

    rows: Sequence[Row]
    counts: Counter[VideoState]
    total: int
    page: int
    pages: int


def list_videos(videos: Sequence[KnownVideo], wanted: Wanted) -> Shelf:
    """Choose, sort and cut the list."""
    text = wanted.search.strip().casefold()
    found = [
        (video, state_of(video)) for video in videos if not text or text in shown_path(video.key).casefold()
    ]
    counts = Counter(state for _, state in found)
    chosen = [video for video, state in found if wanted.state in (None, state)]
    chosen.sort(key=_SORTS[wanted.order])
    pages = max(1, -(-len(chosen) // PAGE))
    page = min(max(wanted.page, 1), pages)
    rows = [row_of(video) for video in chosen[(page - 1) * PAGE : page * PAGE]]
    return Shelf(rows, counts, len(chosen), page, pages)


def row_of(video: KnownVideo) -> Row:
    """Return a video as the list shows it."""
    path = PurePosixPath(shown_path(video.key))
    folder = "" if path.parent == PurePosixPath() else path.parent.as_posix()
    return Row(video, state_of(video), path.name, folder)


def state_of(video: KnownVideo) -> VideoState:
    """Return how a video stands: what is done about it now comes before what was."""
    if video.stage is not None:
        return "running"
    if video.aside_since is not None:
        return "aside"
    if video.failed_at is not None:
        return "failed"
    if video.why in _GONE:
        return "gone"
    if video.why in _COMES_AGAIN:
        return "waiting"
    if video.made_at is not None:
        return "done"
    # What was processed in part, by a command, has never been seen by the watch.
    return "waiting" if video.why in _QUEUED or video.why is None else "passed"


def reason_of(video: KnownVideo) -> tuple[str, str]:
    """Return the name of the text that says why a video waits or is passed over, and what is special."""
    if video.why is None or video.why == Why.TAKEN.name:
        return "queued", ""
    return f"why.{video.why}", video.detail or ""


def shown_path(key: str) -> str:
    """Return a key's path as text that any page can show."""
    return os.fsencode(decode_key(key)).decode("utf-8", "replace")


def _changed_at(video: KnownVideo) -> float:
    times = (video.first_seen, video.made_at, video.failed_at, video.aside_since, video.stage_since)
    return max((time for time in times if time is not None), default=0.0)


_SORTS: dict[Order, Callable[[KnownVideo], Any]] = {
    "changed": lambda video: (-_changed_at(video), video.key),
    "name": lambda video: (shown_path(video.key).casefold(), video.key),
    "length": lambda video: (-(video.audio_s or -1.0), video.key),
    "quality": lambda video: (video.score is None, video.score, video.key),
    "made": lambda video: (-(video.made_at or 0.0), video.key),
}
"""What is unknown comes last; of the quality the poorest comes first."""
