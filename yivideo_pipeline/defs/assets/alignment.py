"""The alignment: when each word was said."""

from pathlib import Path

from yivideo_pipeline.defs.checks import Subject
from yivideo_pipeline.defs.metadata import alignment_facts
from yivideo_pipeline.defs.results import Made, Result
from yivideo_pipeline.defs.stage import Stage
from yivideo_pipeline.settings.options import Aligner
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.speech.types import Transcript


def make_alignment(stage: Stage) -> Result:
    """The transcript with every word at its final time; each word says where its time comes from."""
    audio = stage.input("audio")
    transcript = stage.input("transcript", of=audio)
    said = Transcript.model_validate(transcript.document)
    # By what it is timed in the end, not what was asked for: `auto` depends on the language and the device.
    aligner = stage.tools.speech.aligner(stage.speech_options, said)
    options = stage.speech_options.model_copy(update={"aligner": aligner})

    def align(_folder: Path) -> Made:
        if aligner is Aligner.ATTENTION:  # the transcript has its times already: no model is needed
            timed = said.model_copy(update={"aligner": aligner.value})
            return Made(timed.model_dump(mode="json"), engine=EngineInfo(**transcript.made_by))
        with stage.sound(audio) as sound, stage.engine(options) as engine:
            timed = engine.align(sound, said, options, stage.progress)
            return Made(timed.model_dump(mode="json"), engine=engine.describe())

    inputs = {"audio": audio.content, "transcript": transcript.content}
    kept = stage.make_once(transcript.video_hash, inputs, {"aligner": aligner.value}, align)
    timed = Transcript.model_validate(kept.document)
    subject = Subject(kept.document, audio=audio.document, transcript=timed, options=stage.subtitle_options)
    # Taking over the transcript's times is no work on the sound: it has no speed.
    worked_s = None if aligner is Aligner.ATTENTION else timed.duration_s
    return Result(kept, alignment_facts(timed), subject, audio_s=worked_s)
