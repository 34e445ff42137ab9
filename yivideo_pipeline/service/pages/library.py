"""The library page: the list of videos, the release of quarantined ones, and uploads."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote, urlencode, urlsplit

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from yivideo_pipeline.ledger.known_videos import KnownVideo
from yivideo_pipeline.service.connections import UPLOAD_PATH
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.choices import choices_of
from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.service.pages.many_videos import MAX_CHOSEN, MAX_PACKED, read_runs_of
from yivideo_pipeline.service.pages.uploads import remove_unfinished, store_upload, upload_root
from yivideo_pipeline.service.pages.video_list import (
    SORT_ORDERS,
    STATES,
    SortOrder,
    VideoList,
    VideoQuery,
    VideoState,
    find_keys,
    list_videos,
    reason_of,
    shown_path,
)
from yivideo_pipeline.settings.sections import LOOPBACK
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat
from yivideo_pipeline.storage.artifacts import Storage


@asynccontextmanager
async def _without_unfinished_uploads(app: FastAPI) -> AsyncGenerator[None]:
    await run_in_threadpool(remove_unfinished, app.state.shared.settings.library)
    yield


router = APIRouter(include_in_schema=False, lifespan=_without_unfinished_uploads)


class ReleaseRequest(BaseModel):
    """The partition key of a quarantined video."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, max_length=8192)


class ReleasedVideo(BaseModel):
    """The partition key of a video that was released."""

    key: str


class MatchingVideos(BaseModel):
    """Videos by partition key, each with the name to show."""

    videos: list[tuple[str, str]]


class UploadedVideo(BaseModel):
    """The partition key of a video that was uploaded."""

    key: str


def _parse_query(
    q: Annotated[str, Query(max_length=200)] = "", state: str = "", sort: str = "", page: str = ""
) -> VideoQuery:
    """Parse the address; unknown values are ignored."""
    chosen: VideoState | None = next((one for one in STATES if one == state), None)
    order: SortOrder = next((one for one in SORT_ORDERS if one == sort), "changed")
    number = int(page) if page.isascii() and page.isdecimal() and len(page) < 8 else 1
    return VideoQuery(q, chosen, order, number)


ParsedQuery = Annotated[VideoQuery, Depends(_parse_query)]


@router.get("/library")
def library(request: Request, shared: Shared, query: ParsedQuery) -> Response:
    """Show the page with the videos that the address asks for."""
    return render(request, "library.html", "library", nav="library", **_shown(request, shared, query))


@router.get("/library/videos")
def library_videos(request: Request, shared: Shared, query: ParsedQuery) -> Response:
    """Return the list alone, for a page that is open already."""
    return render(request, "videos.html", "library", nav="library", **_shown(request, shared, query))


@router.get("/library/keys")
def library_keys(shared: Shared, query: ParsedQuery) -> MatchingVideos:
    """Return all videos of the list, on whatever page, as many as may be chosen at once."""
    queue = read_runs_of(shared)
    found = find_keys(shared.ledger.engine, query, MAX_CHOSEN, queue.runs if queue else {})
    return MatchingVideos(videos=[(key, PurePosixPath(shown_path(key)).name) for key in found])


@router.post("/library/release")
def release(call: ReleaseRequest, shared: Shared) -> ReleasedVideo:
    """Release a video from quarantine: the next scan of the library takes it again."""
    if not shared.ledger.failures.release([call.key]):
        raise Refused(404, "not_found", "The video is not quarantined", "Reload the page")
    # Its file has not changed, and the watch takes an unchanged file only if it does not know it.
    shared.ledger.files.forget([call.key])
    return ReleasedVideo(key=call.key)


@router.put(UPLOAD_PATH, status_code=201)
async def upload(
    request: Request, shared: Shared, name: Annotated[str, Query(max_length=1000)]
) -> UploadedVideo:
    """Store a video in the library; the body is the file itself."""
    try:
        return UploadedVideo(key=await store_upload(name, request.stream(), shared.settings.library))
    except ClientDisconnect:
        raise Refused(499, "client_gone", "The client closed the connection") from None


def _shown(request: Request, shared: ServiceState, query: VideoQuery) -> dict[str, Any]:
    """Return what the templates show."""
    queue, settings = read_runs_of(shared), shared.settings
    videos = list_videos(shared.ledger.engine, query, queue.runs if queue else {})
    return {
        "videos": videos,
        "queue": queue,
        "dagster_answers": shared.dagster.answers(),
        "dagster_is_reached": _is_reached(settings.service.dagster_url, request),
        "query": query,
        "states": STATES,
        "sort_orders": SORT_ORDERS,
        "is_empty": not videos.counts and not query.search,
        "max_chosen": MAX_CHOSEN,
        "max_packed": MAX_PACKED,
        "formats": [kind.value for kind in SubtitleFormat],
        "folder": upload_root(settings.library),
        "max_size": _format_size(settings.service.max_upload_mb),
        "extensions": settings.library.extensions,
        "list_url": lambda **changes: _list_url(query, videos, **changes),
        "reason_of": reason_of,
        "rating_of": lambda video: _rating_of(video, shared.storage),
        "review_url": lambda video: f"/review/{quote(video.key)}",
        "subtitles_url": lambda video, kind: f"/api/v1/review/{quote(video.key)}/subtitles.{kind}",
        "dagster_url": lambda video: _dagster_url(video, settings.service.dagster_url),
        "timestamp": lambda at: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
        "duration": _format_duration,
        **choices_of(settings),
    }


def _list_url(query: VideoQuery, videos: VideoList, **changes: str | int | None) -> str:
    """Return the URL of the same list with changes; every change begins with the first page."""
    parts = {"q": query.search, "state": query.state, "sort": query.order, "page": videos.page}
    parts |= {"page": 1, **changes} if changes else {}
    defaults = {"sort": "changed", "page": 1}
    return "/library?" + urlencode({k: v for k, v in parts.items() if v and v != defaults.get(k)})


def _rating_of(video: KnownVideo, storage: Storage) -> tuple[str | None, float | None, float | None]:
    """Return language, readability and confidence.

    They come from the artifact if the history lacks them: the video was processed a moment ago, has no words,
    or was processed by an older version.
    """
    if video.made_at is None or video.confidence is not None:
        return video.language, video.score, video.confidence
    made = storage.find_latest(video.key, "subtitles")
    if made is None:
        return None, None, None
    figures = made.document["quality"]
    score = figures["score"] if figures["cues"] else None
    return made.document["language"], score, figures["mean_confidence"]


def _dagster_url(video: KnownVideo, url: str) -> str:
    return f"{url}/assets/subtitles?{urlencode({'view': 'partitions', 'partition': video.key})}"


def _is_reached(url: str, request: Request) -> bool:
    """Return whether a browser reaches an address: one of this machine alone it does only from here."""
    return urlsplit(url).hostname not in LOOPBACK or request.url.hostname in LOOPBACK


def _format_duration(seconds: float) -> str:
    """Return 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _format_size(mb: int) -> str:
    return f"{mb / 1024:.3g} GB" if mb >= 1024 else f"{mb} MB"
