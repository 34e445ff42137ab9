"""The picture's shots: shown on the waveform, and asked for by style guides at export."""

import json
from dataclasses import replace
from fractions import Fraction

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.media.shots import Picture, look_at_picture
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.review.video import ReviewedSubtitles, ReviewedVideo
from yivideo_pipeline.settings.options import override
from yivideo_pipeline.settings.style_guides import StyleProfile
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.subtitles.cues import build_cues

_NAME = "shots.json"


def find_picture(video: ReviewedVideo) -> Picture | None:
    """Return the picture of a video's file; None where it has none, or the file is gone.

    It is looked at once, and kept beside the file's facts, as the waveform is beside the sound.
    """
    artifact = video.artifact("video")
    if artifact is None or video.info is None or video.info.video_stream is None:
        return None
    files, name = video.storage.files, f"{artifact.folder}/{_NAME}"
    if kept := files.read(name):
        rate, start_s, shots_s = json.loads(kept)
        return Picture(Fraction(rate) if rate else None, start_s, tuple(shots_s))
    if video.file is None:
        return None
    try:
        picture = look_at_picture(video.file)
    except YivideoError:
        return None
    if picture:
        rate = str(picture.frame_rate) if picture.frame_rate else None
        files.write(name, json.dumps([rate, picture.start_s, picture.shots_s]).encode())
    return picture


def cut_by(subtitles: ReviewedSubtitles, profile: StyleProfile, version: str) -> ReviewedSubtitles:
    """Return subtitles whose machine version is cut into cues by another style guide.

    Args:
        subtitles: The subtitles.
        profile: The guide; it gives every limit.
        version: The version that is asked for, as `render_subtitles` takes it.

    Raises:
        Refused: 422; the version was edited, and its cues are those of its editor.
    """
    if version not in ("machine", "standing") or (version == "standing" and subtitles.edited is not None):
        raise Refused(
            422,
            "invalid_request",
            "A style guide cuts the machine's version anew, and no edited one",
            "Ask for version=machine",
        )
    options = override(SubtitleOptions(), {"profile": profile})
    picture = find_picture(subtitles.video) if options.guide.timing.looks_at_picture else None
    cues = build_cues(subtitles.transcript, options, subtitles.artifact.document.get("end_s"), picture)
    made = [(cue.start_ms, cue.end_ms, cue.text) for cue in cues]
    document = {**subtitles.artifact.document, "cues": made}
    return replace(subtitles, artifact=replace(subtitles.artifact, document=document))
