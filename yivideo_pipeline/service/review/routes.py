"""`/api/v1/review`: what the review page needs of one video, and what it saves.

A video's key is one part of the address, percent-encoded as a whole (`/` may stay as it is).
"""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.responses import SUBTITLE_MEDIA_TYPES, SUBTITLE_RESPONSE
from yivideo_pipeline.service.review.versions import (
    Differences,
    Review,
    Saved,
    SaveRequest,
    check_cues,
    differences,
    packed,
    review_of,
    save,
)
from yivideo_pipeline.service.review.video import SOUND, Reviewed, Subtitled, find_video, require_subtitles
from yivideo_pipeline.settings.options import SubtitleFormat
from yivideo_pipeline.storage.edits import TimedText
from yivideo_pipeline.subtitles.delivery import title_of
from yivideo_pipeline.subtitles.edited import as_transcript, time_cues
from yivideo_pipeline.subtitles.writers import render

# PART service/review/files.py: The files that the review hands out: the video's type, and its subtitles in any format.

_WEB_CODECS = {"vp8", "vp9", "av1", "opus", "vorbis"}
_TYPES = {
    "mov": "mp4", "mpegts": "mp2t", "avi": "x-msvideo", "asf": "x-ms-wmv", "flv": "x-flv", "mpeg": "mpeg",
    "ogg": "ogg",
}  # fmt: skip


def media_type_of(info: MediaInfo) -> str:
    """Return the content type of a video by what it holds, whatever its name says."""
    container = info.container.split(",")[0]
    kind = "video" if info.video_stream else "audio"
    if container == "matroska":
        codecs = {stream.codec for stream in info.streams if stream.kind in ("video", "audio")}
        return f"{kind}/webm" if codecs <= _WEB_CODECS else f"{kind}/x-matroska"
    return f"{kind}/{_TYPES[container]}" if container in _TYPES else "application/octet-stream"


def subtitle_file(subtitles: Subtitled, kind: SubtitleFormat, version: str) -> Response:
    """Return the subtitles of a video as a file to download.

    Args:
        subtitles: Whose.
        kind: The format.
        version: `standing`, `machine`, or the number of a version that was saved.

    Raises:
        Refused: 404 where no such version was saved.
    """
    texts = _texts(subtitles, version)
    cues = time_cues(subtitles.machine if texts is None else texts, subtitles.heard)
    said = subtitles.heard if texts is None else as_transcript(cues, subtitles.heard)
    text = render(cues, said, kind, title_of(subtitles.video.path))
    name = quote(f"{title_of(subtitles.video.path)}.{subtitles.language}.{kind}")
    return Response(
        text.encode(),
        media_type=f"{SUBTITLE_MEDIA_TYPES[kind]}; charset=utf-8",
        headers={
            "Content-Disposition": f"attachment; filename*=utf-8''{name}",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


def _texts(subtitles: Subtitled, version: str) -> tuple[TimedText, ...] | None:
    """The cues of an edited version; None for the machine's."""
    if version == "machine":
        return None
    if version == "standing":
        return subtitles.edited
    edit = subtitles.edits.find(subtitles.artifact.video_hash, subtitles.language, int(version))
    if edit is None:
        raise Refused(404, "not_found", f"There is no version {version}", "Versions are counted from 1")
    return edit.cues


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


@router.get("/{key:path}/subtitles.{kind}", response_class=Response, responses=SUBTITLE_RESPONSE)
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
