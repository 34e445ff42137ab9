"""The transcript: what was said."""

from pathlib import Path

from yivideo_pipeline.defs.checks import Speed, Subject
from yivideo_pipeline.defs.metadata import transcript_facts
from yivideo_pipeline.defs.results import Kept, Made, Result
from yivideo_pipeline.defs.stage import Stage
from yivideo_pipeline.speech.types import Transcript

KNOWN_SPEEDS = 50
"""So many of the latest say what speed is usual."""


def make_transcript(stage: Stage) -> Result:
    """What was said, in which language, how sure the model is; words are timed by the model's attention."""
    audio = stage.input("audio")
    options = stage.speech_options

    def recognize(_folder: Path) -> Made:
        with stage.sound(audio) as sound, stage.engine(options) as engine:
            said = engine.transcribe(sound, options, stage.progress)
            return Made(said.model_dump(mode="json"), engine=engine.describe())

    kept = stage.make_once(audio.video_hash, {"audio": audio.content}, stage.deciding_options, recognize)
    said = Transcript.model_validate(kept.document)
    subject = Subject(
        kept.document,
        audio=audio.document,
        transcript=said,
        options=stage.subtitle_options,
        speed=_speed(stage, kept, said.duration_s),
    )
    return Result(kept, transcript_facts(said), subject, audio_s=said.duration_s)


def _speed(stage: Stage, kept: Kept, audio_s: float) -> Speed:
    if kept.reused:
        return Speed(None)
    by = kept.artifact.made_by
    usual = stage.tools.ledger.made.speeds(stage.name, by["model"], by["device"], KNOWN_SPEEDS)
    return Speed(audio_s / kept.metrics.wall_s, tuple(usual))
