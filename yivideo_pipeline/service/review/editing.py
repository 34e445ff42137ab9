"""What the editor asks for beside the review itself: the waveform, a light copy, files, older versions."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.translations import Said
from yivideo_pipeline.service.review.light_copies import LightCopies, LightCopy, name_of
from yivideo_pipeline.service.review.picture import find_picture
from yivideo_pipeline.service.review.routes import IN_PARTS, NOT_SNIFFED, Key
from yivideo_pipeline.service.review.versions import ShownCues, show_cues
from yivideo_pipeline.service.review.video import AUDIO_FILE, ReviewedSubtitles, find_video, require_subtitles
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.subtitles.readers import read_cues

PEAKS_PER_S = 50
_light_copies = LightCopies()

router = APIRouter(prefix="/api/v1/review", tags=["review"])
"""To be included before the other routes of the review, whose last one matches any path."""


class OldVersion(BaseModel):
    """A version that was saved; `cues` is their number, None where the machine's were restored."""

    version: int
    saved_at: str
    by: str
    cues: int | None


class ImportedCues(ShownCues):
    """The cues of a file, and what was changed in them so that they fit."""

    notes: list[Said]


class Shots(BaseModel):
    """When each new shot of the picture begins; none where its frame rate varies."""

    shots_ms: list[int]


class OldVersions(BaseModel):
    """All versions that were saved, the last one first."""

    versions: list[OldVersion]


@router.get(
    "/{key:path}/peaks",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
def peaks(key: Key, shared: Shared) -> Response:
    """Return the waveform of the sound that was transcribed, to be drawn.

    Of each fiftieth of a second it has two signed bytes: the lowest and the highest sample, in 128ths of full
    scale.
    """
    audio = find_video(key, shared.storage, shared.settings).artifact("audio")
    if audio is None or AUDIO_FILE not in audio.files:
        raise Refused(404, "no_media", "The video's audio was not kept", "Process the video again")
    return Response(_find_peaks(audio, shared.storage), media_type="application/octet-stream")


@router.get("/{key:path}/shots")
def shots(key: Key, shared: Shared) -> Shots:
    """Return when each shot of the picture begins; the first request of a long video takes a while."""
    picture = find_picture(find_video(key, shared.storage, shared.settings))
    return Shots(shots_ms=[round(1000 * shot_s) for shot_s in picture.shots_s] if picture else [])


@router.post("/{key:path}/light-copy")
def request_light_copy(key: Key, shared: Shared) -> LightCopy:
    """Have a copy made that every browser plays, and return how far it is; asking again is harmless."""
    return _light_copies.request(find_video(key, shared.storage, shared.settings))


@router.head("/{key:path}/light-copy", include_in_schema=False)
@router.get("/{key:path}/light-copy", response_class=FileResponse, responses=IN_PARTS)
def light_copy(key: Key, shared: Shared) -> FileResponse:
    """Return the light copy of a video as MP4, whole or in parts."""
    video = find_video(key, shared.storage, shared.settings).artifact("video")
    if video is None or not shared.storage.files.exists(name_of(video)):
        raise Refused(404, "no_media", "There is no light copy of this video", "Request one by POST")
    copy = shared.storage.files.local_copy(name_of(video))
    after = BackgroundTask(copy.__exit__, None, None, None)
    return FileResponse(copy.__enter__(), media_type="video/mp4", headers=NOT_SNIFFED, background=after)


@router.post("/{key:path}/import")
def read_file(
    key: Key, shared: Shared, file: Annotated[bytes, Body(media_type="application/octet-stream")]
) -> ImportedCues:
    """Return the cues of an SRT, VTT or ASS file with the transcript's word times; nothing is saved yet."""
    subtitles = _find(key, shared)
    try:
        cues, notes = read_cues(file, subtitles.language, subtitles.end_ms)
    except ValueError as error:
        raise Refused(422, "invalid_request", str(error), "Export it as SRT, and try again") from error
    return ImportedCues(cues=show_cues(subtitles, cues).cues, notes=notes)


@router.get("/{key:path}/versions")
def versions(key: Key, shared: Shared) -> OldVersions:
    """Return all versions that were saved, the last one first."""
    subtitles = _find(key, shared)
    edits = subtitles.edits.all(subtitles.artifact.video_hash, subtitles.language)
    versions = [
        OldVersion(
            version=edit.version,
            saved_at=edit.saved_at,
            by=edit.by,
            cues=None if edit.cues is None else len(edit.cues),
        )
        for edit in reversed(edits)
    ]
    return OldVersions(versions=versions)


@router.get("/{key:path}/versions/{version}")
def version(key: Key, shared: Shared, version: int = Path(ge=1, le=10**9)) -> ShownCues:
    """Return the cues of a version that was saved; the machine's where that was the machine version."""
    subtitles = _find(key, shared)
    edit = subtitles.edits.find(subtitles.artifact.video_hash, subtitles.language, version)
    if edit is None:
        raise Refused(404, "not_found", f"There is no version {version}", "Versions are counted from 1")
    return show_cues(subtitles, subtitles.machine if edit.cues is None else edit.cues)


def _find_peaks(audio: Artifact, storage: Storage) -> bytes:
    """Return the peaks that are kept beside the sound; make and keep them where there are none.

    They are no file of the artifact: so they are made for old ones too, and change no key of a later stage.
    Three hours of sound take 0.1 s.
    """
    from yivideo_pipeline.media.images import peaks

    name = f"{audio.folder}/peaks-{PEAKS_PER_S}.bin"
    kept = storage.files.read(name)
    if kept is not None:
        return kept
    with storage.local_copy(audio, AUDIO_FILE) as path:
        sound = Audio(path)
        found = peaks(sound, max(1, round(sound.duration_s * PEAKS_PER_S)))
    made = (found * 128).clip(-128, 127).astype("int8").tobytes()
    storage.files.write(name, made)
    return made


def _find(key: str, shared: Shared) -> ReviewedSubtitles:
    return require_subtitles(find_video(key, shared.storage, shared.settings))
