"""The alignment: when each word was said."""

from pathlib import Path

import dagster as dg

from yivideo_pipeline.defs.facts import alignment_facts
from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.resources import SpeechResource
from yivideo_pipeline.defs.stages import CODE_VERSIONS, GPU_POOL, GROUP, OWNERS, videos
from yivideo_pipeline.defs.work import Made, sound_of, stage_of
from yivideo_pipeline.settings.options import Aligner
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Storage


@dg.asset(
    deps=["audio", "transcript"],
    partitions_def=videos,
    code_version=CODE_VERSIONS["alignment"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"whisper", "python"},
    tags={"domain": "speech"},
    pool=GPU_POOL,
)
def alignment(
    context: dg.AssetExecutionContext,
    storage: dg.ResourceParam[Storage],
    speech: dg.ResourceParam[SpeechResource],
    launch: Launch,
) -> dg.MaterializeResult:
    """The transcript with every word at its final time; each word says where its time comes from."""
    with stage_of(context, storage, launch) as stage:
        audio = stage.input("audio")
        transcript = stage.input("transcript", of=audio)
        said = Transcript.model_validate(transcript.document)
        aligner = speech.aligner(launch.speech_options(), said)
        options = launch.speech_options().model_copy(update={"aligner": aligner})

        def align(_folder: Path) -> Made:
            if aligner is Aligner.ATTENTION:  # the transcript has its times already: no model is needed
                timed = said.model_copy(update={"aligner": aligner.value})
                return Made(timed.model_dump(mode="json"), engine=EngineInfo(**transcript.made_by))
            with sound_of(storage, audio) as sound, speech.engine(options) as engine:
                timed = engine.align(sound, said, options, stage.progress)
                return Made(timed.model_dump(mode="json"), engine=engine.describe())

        inputs = {"audio": audio.content, "transcript": transcript.content}
        kept = stage.make_once(transcript.video_hash, inputs, {"aligner": aligner.value}, align)
        timed = Transcript.model_validate(kept.document)
        return stage.describe(kept, alignment_facts(timed), timed.duration_s)
