"""The subtitles: cues in the wanted formats, delivered where the person looks for them."""

from functools import partial
from pathlib import Path

from yivideo_pipeline.defs.checks import Subject
from yivideo_pipeline.defs.metadata import Facts, subtitle_facts
from yivideo_pipeline.defs.rendering import render_all
from yivideo_pipeline.defs.results import Made, Result
from yivideo_pipeline.defs.stage import Stage
from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.delivery import hand_over, title_of


def make_subtitles(stage: Stage) -> Result:
    """Subtitle files beside the video or in a folder of choice, and how good they are."""
    alignment = stage.input("alignment")
    options, path, storage = stage.subtitle_options, stage.path, stage.tools.storage
    timed = Transcript.model_validate(alignment.document)
    title = title_of(path)

    def render(folder: Path) -> Made:
        return Made(*render_all(timed, options, title, folder))

    # The title stands in some formats.
    deciding = {**stage.deciding_options, "title": title}
    kept = stage.make_once(alignment.video_hash, {"alignment": alignment.content}, deciding, render)

    def deliver() -> Facts:
        output_dir = stage.tools.launch.output_dir
        handed = hand_over(storage, kept.artifact, timed, stage.partition_key, path, output_dir)
        return subtitle_facts(kept.document, handed.files, handed.edit)

    video, audio = stage.find("video"), stage.find("audio")
    subject = Subject(
        kept.document,
        video=MediaInfo.model_validate(video.document) if video else None,
        audio=audio.document if audio else None,
        transcript=timed,
        options=options,
        files=tuple(kept.artifact.files),
        read=partial(storage.read, kept.artifact),
    )
    facts = subtitle_facts(kept.document, delivered=())
    return Result(kept, facts, subject, audio_s=timed.duration_s, deliver=deliver)
