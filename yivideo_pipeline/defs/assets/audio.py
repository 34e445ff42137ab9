"""The audio: one stream of the video, decoded for the recognizer."""

from pathlib import Path

import dagster as dg

from yivideo_pipeline.defs.facts import audio_facts
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.defs.sound import decode_and_look
from yivideo_pipeline.defs.stages import CODE_VERSIONS, GROUP, OWNERS, videos
from yivideo_pipeline.defs.work import Made, stage_of
from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.media.select import choose_audio_stream
from yivideo_pipeline.storage.artifacts import Storage


@dg.asset(
    deps=["video"],
    partitions_def=videos,
    code_version=CODE_VERSIONS["audio"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"audio", "python"},
    tags={"domain": "media"},
)
def audio(
    context: dg.AssetExecutionContext,
    storage: dg.ResourceParam[Storage],
    library: dg.ResourceParam[Library],
    launch: Launch,
) -> dg.MaterializeResult:
    """The sound that is transcribed: 16 kHz mono, in time with the picture."""
    with stage_of(context, storage, launch) as stage:
        video = stage.input("video")
        info = MediaInfo.model_validate(video.document)
        stream = choose_audio_stream(info, launch.speech_options().language)
        path = library.path_of(stage.partition_key)

        def decode(folder: Path) -> Made:
            document = decode_and_look(path, folder / "audio.wav", stream, stage.progress)
            return Made(document, {"audio.wav": folder / "audio.wav"})

        # The stream, not the language that chose it: another language may choose the same one.
        kept = stage.make_once(
            video.video_hash, {"video": video.video_hash}, {"stream": stream.index}, decode
        )
        return stage.describe(kept, audio_facts(kept.document, stream), kept.document["duration_s"])
