"""The video: what it holds, and the hash that all else is found by."""

from pathlib import Path

from yivideo_pipeline.defs.checks import Subject
from yivideo_pipeline.defs.metadata import video_facts
from yivideo_pipeline.defs.results import Made, Result
from yivideo_pipeline.defs.stage import Stage
from yivideo_pipeline.media.fingerprint import content_hash
from yivideo_pipeline.media.images import poster_jpeg
from yivideo_pipeline.media.probe import probe


def make_video(stage: Stage) -> Result:
    """The video file: container, streams, poster, and the hash of its content.

    It is the first to run, so it also checks all options: what would stop a later stage is said now.
    """
    options = stage.subtitle_options
    warnings = stage.tools.speech.check(stage.speech_options)
    path = stage.path
    info = probe(path)
    digest = content_hash(path, stage.progress)

    def look(folder: Path) -> Made:
        picture = poster_jpeg(path)
        (folder / "poster.jpg").write_bytes(picture or b"")
        return Made(info.model_dump(mode="json"), {"poster.jpg": folder / "poster.jpg"})

    kept = stage.make_once(digest, {"video": digest}, stage.deciding_options, look)
    poster = stage.tools.storage.read(kept.artifact, "poster.jpg")
    return Result(
        kept,
        video_facts(path, info, poster, warnings),
        Subject(kept.document, video=info, options=options),
        version=digest,
    )
