"""The page `/review/{key}`: the video, its transcript, and the tools to correct it."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.service.dependencies import Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.choices import choices_of
from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.service.review.routes import Key
from yivideo_pipeline.service.review.video import find_video
from yivideo_pipeline.settings.style_guides import StyleProfile
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat

router = APIRouter(include_in_schema=False)


@router.get("/review/{key:path}")
def show_review(key: Key, request: Request, shared: Shared) -> Response:
    """Show the page; its script loads the content from the API."""
    try:
        video = find_video(key, shared.storage, shared.settings)
    except Refused as refused:
        if refused.status != 404:
            raise
        return render(request, "review.html", "review", nav="library", status=404, name="", key=None)
    return render(
        request,
        "review.html",
        "review",
        nav="library",
        key=video.key,
        address=f"/api/v1/review/{quote(video.key, safe='')}",
        name=video.path.name.encode("utf-8", "replace").decode(),
        formats=[kind.value for kind in SubtitleFormat],
        profiles=[profile.value for profile in StyleProfile],
        tracks=_tracks_of(video.info),
        **choices_of(shared.settings),
    )


def _tracks_of(info: MediaInfo | None) -> list[tuple[int, str]]:
    """Return the number of each audio track, and what its file says of it."""
    tracks = info.audio_streams if info else ()
    return [
        (number, ", ".join(filter(None, (track.language, track.title, track.codec))))
        for number, track in enumerate(tracks, 1)
    ]
