"""The video: what it holds, and the hash that all else is found by."""

from pathlib import Path

import dagster as dg

from yivideo_pipeline.defs.facts import video_facts
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.resources import Library, SpeechResource
from yivideo_pipeline.defs.stages import CODE_VERSIONS, GROUP, OWNERS, videos
from yivideo_pipeline.defs.work import Made, stage_of
from yivideo_pipeline.media.fingerprint import content_hash
from yivideo_pipeline.media.pictures import poster_jpeg
from yivideo_pipeline.media.probe import probe
from yivideo_pipeline.storage.artifacts import Storage


@dg.asset(
    partitions_def=videos,
    code_version=CODE_VERSIONS["video"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"video", "python"},
    tags={"domain": "media"},
)
def video(
    context: dg.AssetExecutionContext,
    storage: dg.ResourceParam[Storage],
    library: dg.ResourceParam[Library],
    speech: dg.ResourceParam[SpeechResource],
    launch: Launch,
) -> dg.MaterializeResult:
    """The video file: container, streams, poster, and the hash of its content.

    It is the first to run, so it also checks all options: what would stop a later stage is said now.
    """
    with stage_of(context, storage, launch) as stage:
        launch.subtitle_options()
        warnings = speech.check(launch.speech_options())
        path = library.path_of(stage.partition_key)
        info = probe(path)
        digest = content_hash(path, stage.progress)

        def look(folder: Path) -> Made:
            picture = poster_jpeg(path)
            (folder / "poster.jpg").write_bytes(picture or b"")
            return Made(info.model_dump(mode="json"), {"poster.jpg": folder / "poster.jpg"})

        kept = stage.make_once(digest, {"video": digest}, {}, look)
        poster = storage.read(kept.artifact, "poster.jpg")
        return stage.describe(kept, video_facts(path, info, poster, warnings), data_version=digest)
