"""The files that the review hands out: the video's type, and its subtitles in any format."""

from urllib.parse import quote

from fastapi import Response

from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.review.video import Subtitled
from yivideo_pipeline.service.workflows.subtitles import MEDIA_TYPES
from yivideo_pipeline.settings.options import SubtitleFormat
from yivideo_pipeline.storage.edits import TimedText
from yivideo_pipeline.subtitles.delivery import title_of
from yivideo_pipeline.subtitles.edited import as_transcript, time_cues
from yivideo_pipeline.subtitles.writers import render

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
        media_type=f"{MEDIA_TYPES[kind]}; charset=utf-8",
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
