"""The library's page: all videos, how each stands, and what can be done about it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from yivideo_pipeline.ledger.videos import known_videos
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.limits import UPLOAD_PATH
from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.service.pages.library_words import LIBRARY, SCRIPT
from yivideo_pipeline.service.pages.shelf import (
    ORDERS,
    STATES,
    Order,
    Row,
    Shelf,
    VideoState,
    Wanted,
    list_videos,
    reason_of,
)
from yivideo_pipeline.service.pages.uploads import remove_remains, take, upload_root
from yivideo_pipeline.service.pages.words import KINDS
from yivideo_pipeline.settings.options import SubtitleFormat


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
