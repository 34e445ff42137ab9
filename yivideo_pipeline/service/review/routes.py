"""`/api/v1/review`: what the review page loads and saves, and the files that it plays and offers.

A video's key is one part of the address, percent-encoded as a whole (`/` may stay as it is).
"""

import gzip
from pathlib import Path as FilePath
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask

from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.video_list import find_row, reason_of
from yivideo_pipeline.service.responses import SUBTITLE_MEDIA_TYPES, SUBTITLE_RESPONSE
from yivideo_pipeline.service.review.object_file import object_response
from yivideo_pipeline.service.review.picture import cut_by
from yivideo_pipeline.service.review.versions import (
    Differences,
    Obstacle,
    Review,
    SavedVersion,
    SaveRequest,
    check_cues,
    find_differences,
    review_of,
    save,
)
from yivideo_pipeline.service.review.video import (
    AUDIO_FILE,
    ReviewedSubtitles,
    ReviewedVideo,
    find_video,
    media_type_of,
    require_subtitles,
)
from yivideo_pipeline.settings.style_guides import StyleProfile
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat
from yivideo_pipeline.storage.edits import EditedCue
from yivideo_pipeline.subtitles.delivery import title_of
from yivideo_pipeline.subtitles.edited import as_transcript, time_cues
from yivideo_pipeline.subtitles.writers import render

router = APIRouter(prefix="/api/v1/review", tags=["review"])

Key = Annotated[str, Path(max_length=8192, description="The video's partition key")]
NOT_SNIFFED = {"X-Content-Type-Options": "nosniff"}
GZIP_LEVEL = 4
MIN_GZIP_BYTES = 1400
"""A response that fits into one packet is not compressed."""

_FILE = {"content": {kind: {} for kind in ("video/*", "audio/*", "application/octet-stream")}}
IN_PARTS: dict[int | str, dict[str, Any]] = {
    200: _FILE,
    206: {"description": "A part of the file", **_FILE},
    416: {"description": "The file has no such part", "content": {"text/plain": {}}},
}


@router.head("/{key:path}/media", include_in_schema=False)
@router.get("/{key:path}/media", response_class=FileResponse, responses=IN_PARTS)
def media(key: Key, shared: Shared, request: Request) -> Response:
    """Return the video's own file or object, whole or in parts."""
    video = _find(key, shared)
    if video.info is None or video.file is None:
        raise Refused(
            404, "no_media", "The video's file is gone, or was replaced since", "Process the video again"
        )
    media_type = media_type_of(video.info)
    if isinstance(video.file, FilePath):
        return FileResponse(video.file, media_type=media_type, headers=NOT_SNIFFED)
    return object_response(video.file, request, media_type, NOT_SNIFFED)


@router.head("/{key:path}/sound", include_in_schema=False)
@router.get("/{key:path}/sound", response_class=FileResponse, responses=IN_PARTS)
def sound(key: Key, shared: Shared) -> FileResponse:
    """Return the audio that was transcribed as WAV, for videos that a browser can't play."""
    audio = _find(key, shared).artifact("audio")
    if audio is None or AUDIO_FILE not in audio.files:
        raise Refused(404, "no_media", "The video's audio was not kept", "Process the video again")
    copy = shared.storage.local_copy(audio, AUDIO_FILE)
    after = BackgroundTask(copy.__exit__, None, None, None)
    return FileResponse(copy.__enter__(), media_type="audio/wav", headers=NOT_SNIFFED, background=after)


@router.get("/{key:path}/subtitles.{kind}", response_class=Response, responses=SUBTITLE_RESPONSE)
def subtitles(
    key: Key,
    kind: SubtitleFormat,
    shared: Shared,
    version: Annotated[
        str,
        Query(
            pattern=r"^(standing|machine|[1-9][0-9]{0,8})$", description="A number: a version that was saved"
        ),
    ] = "standing",
    profile: Annotated[
        StyleProfile | None, Query(description="Cuts the machine's version anew, by this style guide")
    ] = None,
) -> Response:
    """Return the subtitles in any format: the current version, the machine's or an earlier one."""
    found = require_subtitles(_find(key, shared))
    return _subtitle_file(cut_by(found, profile, version) if profile else found, kind, version)


@router.get("/{key:path}/differences", response_model=Differences)
def show_differences(key: Key, shared: Shared, request: Request) -> Response:
    """Return where the version edited by hand differs from the machine's."""
    found = require_subtitles(_find(key, shared))
    return _compressed(Differences(differences=find_differences(found)), request)


@router.put("/{key:path}/cues")
def save_cues(key: Key, body: SaveRequest, shared: Shared, request: Request) -> SavedVersion:
    """Save all cues as a version edited by hand, which no run replaces."""
    found = require_subtitles(_find(key, shared))
    return save(found, check_cues(body.cues, found.end_ms), body.version, _client(request))


@router.delete("/{key:path}/edits")
def restore_machine_version(
    key: Key, shared: Shared, request: Request, version: Annotated[int, Query(ge=1, le=10**9)]
) -> SavedVersion:
    """Restore the machine's subtitles; the versions edited by hand are kept."""
    return save(require_subtitles(_find(key, shared)), None, version, _client(request))


# The last route: a key may contain slashes, so this path matches all that the others do not.
@router.get("/{key:path}", response_model=Review)
def review(key: Key, shared: Shared, request: Request) -> Response:
    """Return all that the page shows: the stages that are done, the cues with their words, the edits."""
    found = review_of(_find(key, shared))
    if found.state == "unprocessed":
        found.obstacle = _obstacle(key, shared)
    return _compressed(found, request)


def _find(key: str, shared: ServiceState) -> ReviewedVideo:
    return find_video(key, shared.storage, shared.settings)


def _obstacle(key: str, shared: ServiceState) -> Obstacle | None:
    """Return why a video is not made, and what to do; None where a run makes it, or is about to."""
    row = find_row(shared.ledger.engine, key)
    if row is None or row.state == "running":
        return None
    may_come = True
    if instance := shared.performance.history.instance():
        from yivideo_pipeline.history.run_queue import read_runs

        queue = read_runs(instance)
        if key in queue.runs:
            return None
        may_come = queue.has_backfill
    if row.state in ("failed", "quarantined"):
        return Obstacle(message=". ".join(filter(None, (row.known.failed_message, row.known.failed_hint))))
    reason, detail = reason_of(row.known)
    if reason and row.state != "waiting":
        return Obstacle(reason=reason.name, message=reason.sentence, detail=detail)
    if reason is None and not may_come:
        return Obstacle(message="No run makes it: it was cancelled, or its run was deleted")
    return None


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


def _subtitle_file(subtitles: ReviewedSubtitles, kind: SubtitleFormat, version: str) -> Response:
    """Return the subtitles as a file to download; see `render_subtitles`."""
    name, content = render_subtitles(subtitles, kind, version)
    return Response(
        content,
        media_type=f"{SUBTITLE_MEDIA_TYPES[kind]}; charset=utf-8",
        headers={
            "Content-Disposition": f"attachment; filename*=utf-8''{quote(name)}",
            "Cache-Control": "no-store",
            **NOT_SNIFFED,
        },
    )


def render_subtitles(subtitles: ReviewedSubtitles, kind: SubtitleFormat, version: str) -> tuple[str, bytes]:
    """Return a name for a subtitle file, and its content.

    Args:
        subtitles: The subtitles.
        kind: The format.
        version: `standing` for the current version, `machine`, or the number of a version that was saved.

    Raises:
        Refused: 404 if no such version was saved.
    """
    edited = _edited_cues(subtitles, version)
    cues = time_cues(subtitles.machine if edited is None else edited, subtitles.transcript)
    transcript = subtitles.transcript if edited is None else as_transcript(cues, subtitles.transcript)
    title = title_of(subtitles.video.path)
    text = render(cues, transcript, kind, title)
    return f"{title}.{subtitles.language}.{kind.ending}", text.encode()


def _edited_cues(subtitles: ReviewedSubtitles, version: str) -> tuple[EditedCue, ...] | None:
    """Return the cues of an edited version; None for the machine's."""
    if version == "machine":
        return None
    if version == "standing":
        return subtitles.edited
    edit = subtitles.edits.find(subtitles.artifact.video_hash, subtitles.language, int(version))
    if edit is None:
        raise Refused(404, "not_found", f"There is no version {version}", "Versions are counted from 1")
    return edit.cues


def _compressed(content: BaseModel, request: Request) -> Response:
    """Return JSON, compressed if the client accepts that: a long transcript has several megabytes."""
    data = content.model_dump_json().encode()
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-store"}
    if "gzip" in request.headers.get("accept-encoding", "") and len(data) > MIN_GZIP_BYTES:
        headers["Content-Encoding"] = "gzip"
        data = gzip.compress(data, GZIP_LEVEL)
    return Response(data, media_type="application/json", headers=headers)
