"""The transcript: what was said."""

from pathlib import Path

import dagster as dg

from yivideo_pipeline.defs.facts import transcript_facts
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.resources import SpeechResource
from yivideo_pipeline.defs.stages import CODE_VERSIONS, GPU_POOL, GROUP, OWNERS, videos
from yivideo_pipeline.defs.work import Made, sound_of, stage_of
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Storage

DECIDING_OPTIONS = {"language", "compute_type", "use_faster_whisper", "beam_size", "zh_script"}
"""What changes the text, beside the weights. Device, batch size and threads change its price alone; the
compute type counts as it was asked for, so that a run that had to fall back is not repeated for it."""


@dg.asset(
    deps=["audio"],
    partitions_def=videos,
    code_version=CODE_VERSIONS["transcript"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"whisper", "python"},
    tags={"domain": "speech"},
    pool=GPU_POOL,
)
def transcript(
    context: dg.AssetExecutionContext,
    storage: dg.ResourceParam[Storage],
    speech: dg.ResourceParam[SpeechResource],
    launch: Launch,
) -> dg.MaterializeResult:
    """What was said, in which language, how sure the model is; words are timed by the model's attention."""
    with stage_of(context, storage, launch) as stage:
        audio = stage.input("audio")
        options = launch.speech_options()
        deciding = options.model_dump(mode="json", include=DECIDING_OPTIONS)
        deciding["weights"] = speech.revision(options)

        def recognize(_folder: Path) -> Made:
            with sound_of(storage, audio) as sound, speech.engine(options) as engine:
                said = engine.transcribe(sound, options, stage.progress)
                return Made(said.model_dump(mode="json"), engine=engine.describe())

        kept = stage.make_once(audio.video_hash, {"audio": audio.content}, deciding, recognize)
        said = Transcript.model_validate(kept.document)
        return stage.describe(kept, transcript_facts(said), said.duration_s)
