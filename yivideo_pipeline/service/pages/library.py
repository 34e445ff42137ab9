"""The library's page: all videos, how each stands, and what can be done about it."""

import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, get_args
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from yivideo_pipeline.ledger.videos import KnownVideo, known_videos
from yivideo_pipeline.library.decisions import Why
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.middleware import UPLOAD_PATH
from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.service.pages.library_words import LIBRARY, SCRIPT
from yivideo_pipeline.service.pages.uploads import remove_remains, take, upload_root
from yivideo_pipeline.service.pages.words import KINDS
from yivideo_pipeline.settings.options import SubtitleFormat
from yivideo_pipeline.storage.partition_keys import decode_key

# PART service/pages/shelf.py: The library as the page lists it: each video's state and why, searched, filtered, sorted, page by page.

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


@asynccontextmanager
async def _tidy(app: FastAPI) -> AsyncGenerator[None]:
    await run_in_threadpool(remove_remains, app.state.shared.settings)
    yield


router = APIRouter(include_in_schema=False, lifespan=_tidy)


class ReleaseCall(BaseModel):
    """A video that is set aside, by its partition key."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, max_length=8192)


class Released(BaseModel):
    """What was taken up again."""

    key: str


class Taken(BaseModel):
    """The partition key of a video that was sent."""

    key: str


def _read_address(
    q: Annotated[str, Query(max_length=200)] = "", state: str = "", sort: str = "", page: str = ""
) -> Wanted:
    """Read the address; what is no choice of ours counts as none."""
    chosen: VideoState | None = next((one for one in STATES if one == state), None)
    order: Order = next((one for one in ORDERS if one == sort), "changed")
    number = int(page) if page.isascii() and page.isdecimal() and len(page) < 8 else 1
    return Wanted(q, chosen, order, number)


Asked = Annotated[Wanted, Depends(_read_address)]


@router.get("/library")
def library(request: Request, shared: Shared, wanted: Asked) -> Response:
    """Show one page of the library, as the address says."""
    return render(request, "library.html", "library", LIBRARY, KINDS, script=SCRIPT, **_shown(shared, wanted))


@router.get("/library/videos")
def library_videos(request: Request, shared: Shared, wanted: Asked) -> Response:
    """Show the list alone, for a page that is open already."""
    return render(request, "videos.html", "library", LIBRARY, KINDS, **_shown(shared, wanted))


@router.post("/library/release")
def release(call: ReleaseCall, shared: Shared) -> Released:
    """Take a video out of quarantine: the next look at the library hands it out again."""
    if not shared.ledger.failures.release([call.key]):
        raise Refused(404, "not_found", "The video is not set aside", "Load the page again")
    # Its file is as it was: only one that the watch does not know is taken.
    shared.ledger.files.forget([call.key])
    return Released(key=call.key)


@router.put(UPLOAD_PATH, status_code=201)
async def upload(request: Request, shared: Shared, name: Annotated[str, Query(max_length=1000)]) -> Taken:
    """Take a video into the library; the body is the file itself."""
    try:
        return Taken(key=await take(name, request.stream(), shared.settings))
    except ClientDisconnect:
        raise Refused(499, "client_gone", "The client went away") from None


def _shown(shared: ServiceState, wanted: Wanted) -> dict[str, Any]:
    shelf = list_videos(known_videos(shared.ledger.engine), wanted)
    settings = shared.settings
    return {
        "shelf": shelf,
        "wanted": wanted,
        "states": STATES,
        "orders": ORDERS,
        "is_empty": not shelf.counts and not wanted.search,
        "formats": [kind.value for kind in SubtitleFormat],
        "folder": upload_root(settings),
        "most": _size(settings.service.max_upload_mb),
        "extensions": settings.library.extensions,
        "link": lambda **changes: _address(wanted, shelf, **changes),
        "reason": reason_of,
        "quality": lambda row: _quality(row, shared),
        "review": lambda row: f"/review/{quote(row.known.key)}",
        "subtitles": lambda row, kind: f"/api/v1/review/{quote(row.known.key)}/subtitles.{kind}",
        "dagster": lambda row: _dagster(row, settings.service.dagster_url),
        "moment": lambda at: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
        "length": _length,
    }


def _address(wanted: Wanted, shelf: Shelf, **changes: str | int | None) -> str:
    """Return the address of the same list with something changed; any change begins with the first page."""
    parts = {"q": wanted.search, "state": wanted.state, "sort": wanted.order, "page": shelf.page}
    parts |= {"page": 1, **changes} if changes else {}
    usual = {"sort": "changed", "page": 1}
    return "/library?" + urlencode({k: v for k, v in parts.items() if v and v != usual.get(k)})


def _quality(row: Row, shared: ServiceState) -> tuple[str | None, float | None]:
    """Return language and score: of what was made just now, the history may not know them yet."""
    if row.known.made_at is None or row.known.score is not None:
        return row.known.language, row.known.score
    made = shared.storage.recall(row.known.key, "subtitles")
    return (made.document["language"], made.document["quality"]["score"]) if made else (None, None)


def _dagster(row: Row, url: str) -> str:
    return f"{url}/assets/subtitles?{urlencode({'view': 'partitions', 'partition': row.known.key})}"


def _length(seconds: float) -> str:
    """Return 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _size(mb: int) -> str:
    return f"{mb / 1024:.3g} GB" if mb >= 1024 else f"{mb} MB"
