"""`/api/v1/review`: what the review page needs of one video, and what it saves.

A video's key is one part of the address, percent-encoded as a whole (`/` may stay as it is).
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.review.files import media_type_of, subtitle_file
from yivideo_pipeline.service.review.saving import check_cues, differences, save
from yivideo_pipeline.service.review.versions import (
    Differences,
    Review,
    Saved,
    SaveRequest,
    packed,
    review_of,
)
from yivideo_pipeline.service.review.video import SOUND, Reviewed, find_video, require_subtitles
from yivideo_pipeline.service.workflows.subtitles import SUBTITLE_FILE
from yivideo_pipeline.settings.options import SubtitleFormat

router = APIRouter(prefix="/api/v1/review", tags=["review"])

Key = Annotated[str, Path(max_length=8192, description="The video's partition key")]
NOT_SNIFFED = {"X-Content-Type-Options": "nosniff"}
_FILE = {"content": {kind: {} for kind in ("video/*", "audio/*", "application/octet-stream")}}
IN_PARTS: dict[int | str, dict[str, Any]] = {
    200: _FILE,
    206: {"description": "A part of the file", **_FILE},
    416: {"description": "It has no such part", "content": {"text/plain": {}}},
}


def _find(key: str, shared: ServiceState) -> Reviewed:
    return find_video(key, shared.storage, shared.settings)


@router.head("/{key:path}/media", include_in_schema=False)
@router.get("/{key:path}/media", response_class=FileResponse, responses=IN_PARTS)
def media(key: Key, shared: Shared) -> FileResponse:
    """The video's own file, whole or in parts."""
    video = _find(key, shared)
    if video.info is None or video.file is None:
        raise Refused(
            404, "no_media", "The video's file is gone, or was replaced since", "Process the video again"
        )
    return FileResponse(video.file, media_type=media_type_of(video.info), headers=NOT_SNIFFED)


@router.head("/{key:path}/sound", include_in_schema=False)
@router.get("/{key:path}/sound", response_class=FileResponse, responses=IN_PARTS)
def sound(key: Key, shared: Shared) -> FileResponse:
    """The sound that was transcribed, as WAV: for what a browser can't play."""
    audio = _find(key, shared).made("audio")
    if audio is None or SOUND not in audio.files:
        raise Refused(404, "no_media", "The sound of this video was not kept", "Process the video again")
    lent = shared.storage.local_copy(audio, SOUND)
    given_back = BackgroundTask(lent.__exit__, None, None, None)
    return FileResponse(lent.__enter__(), media_type="audio/wav", headers=NOT_SNIFFED, background=given_back)


@router.get("/{key:path}/subtitles.{kind}", response_class=Response, responses=SUBTITLE_FILE)
def subtitles(
    key: Key,
    kind: SubtitleFormat,
    shared: Shared,
    version: Annotated[
        str,
        Query(pattern=r"^(standing|machine|[1-9][0-9]{0,8})$", description="A number: one that was saved"),
    ] = "standing",
) -> Response:
    """The subtitles as a file, in any format: the version that stands, the machine's or an earlier one."""
    return subtitle_file(require_subtitles(_find(key, shared)), kind, version)


@router.get("/{key:path}/differences", response_model=Differences)
def show_differences(key: Key, shared: Shared, request: Request) -> Response:
    """Where the version edited by hand differs from the machine's."""
    found = require_subtitles(_find(key, shared))
    return packed(Differences(differences=differences(found)), request)


@router.put("/{key:path}/cues")
def save_cues(key: Key, body: SaveRequest, shared: Shared, request: Request) -> Saved:
    """Save all cues as a version edited by hand; no run ever puts its own in their place."""
    found = require_subtitles(_find(key, shared))
    return save(found, check_cues(body.cues, found.end_ms), body.version, _from(request))


@router.delete("/{key:path}/edits")
def back_to_machine(
    key: Key, shared: Shared, request: Request, version: Annotated[int, Query(ge=1, le=10**9)]
) -> Saved:
    """Go back to the machine's subtitles; the versions edited by hand are kept."""
    return save(require_subtitles(_find(key, shared)), None, version, _from(request))


# The last one: a key may have slashes in it, so this address takes all that the others leave.
@router.get("/{key:path}", response_model=Review)
def review(key: Key, shared: Shared, request: Request) -> Response:
    """All that the page shows: how far the video is, its cues with their words, what was edited."""
    return packed(review_of(_find(key, shared)), request)


def _from(request: Request) -> str:
    return request.client.host if request.client else ""
