"""The five assets, one for each stage: each loads its inputs, calls the domain, stores and describes.

`stage_asset` adds what all have in common: partitions, checks, retries, and runs of many videos at once.
"""

from dataclasses import replace
from functools import partial

import dagster as dg

from yivideo_pipeline.defs.checks.base import Speed, Subject
from yivideo_pipeline.defs.documents import decode_sound, end_of_media, render_subtitles
from yivideo_pipeline.defs.metadata import (
    Metadata,
    alignment_metadata,
    audio_metadata,
    subtitle_metadata,
    transcript_metadata,
    video_metadata,
)
from yivideo_pipeline.defs.previews import POSTER
from yivideo_pipeline.defs.stage import SOUND, Stage, StageResult, StageWork
from yivideo_pipeline.defs.stage_asset import stage_asset
from yivideo_pipeline.media.probe import MediaInfo, choose_audio_stream, content_hash, describe_tracks, probe
from yivideo_pipeline.media.shots import look_at_picture
from yivideo_pipeline.settings.options import Aligner
from yivideo_pipeline.settings.sections import CheckSettings
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.delivery import deliver_subtitles, title_of

KNOWN_SPEEDS = 50
"""How many of the latest transcripts decide which speed is usual."""


@stage_asset(kinds={"video", "python"}, domain="media")
def video(stage: Stage) -> StageResult:
    """The video file: container, streams, poster, and the hash of its content.

    As the first stage it also checks all options, so that what would stop a later stage is reported now.
    """
    options = stage.subtitle_options
    warnings = stage.resources.speech.check(stage.speech_options)
    info = probe(stage.path)
    digest = content_hash(stage.path, stage.report_progress)
    with stage.work(digest, {"video": digest}) as work:
        if work.is_due:
            from yivideo_pipeline.media.images import poster_jpeg

            (work.folder / POSTER).write_bytes(poster_jpeg(stage.path) or b"")
            work.save(info.model_dump(mode="json"), files=[POSTER])
    metadata = video_metadata(stage.path, info, work.artifact, warnings)
    return work.result(metadata, Subject(work.document, video=info, options=options), version=digest)


@stage_asset(kinds={"audio", "python"}, domain="media")
def audio(stage: Stage) -> StageResult:
    """The sound that is transcribed: 16 kHz mono, in time with the picture."""
    source = stage.input("video")
    info = MediaInfo.model_validate(source.document)
    options = stage.speech_options
    stream = choose_audio_stream(info, options.language, options.audio_track)
    # The stream, not the language that chose it: another language may choose the same one.
    decides = {"stream": stream.index}
    with stage.work(source.video_hash, {"video": source.video_hash}, decides) as work:
        if work.is_due:
            stage.resources.speech.prepare(options)
            sound = decode_sound(stage.path, work.folder / SOUND, stream, stage.report_progress)
            work.save(sound, files=[SOUND])
    return work.result(
        audio_metadata(work.artifact, stream, describe_tracks(info, stream)),
        Subject(work.document, video=info),
        audio_s=work.document["duration_s"],
    )


@stage_asset(kinds={"whisper", "python"}, domain="speech")
def transcript(stage: Stage) -> StageResult:
    """The spoken words, their language and the model's confidence; words are timed by its attention."""
    sound = stage.input("audio")
    inputs = {"audio": sound.content}
    choice, decides = stage.choose_model(inputs)
    with stage.work(sound.video_hash, inputs, decides) as work:
        if work.is_due:
            with stage.decoded(sound) as decoded, stage.engine(choice.options) as engine:
                words = engine.transcribe(
                    decoded, choice.options, stage.report_progress, checkpoint=work.checkpoint
                )
                made_by = replace(engine.describe(), chosen=choice.reason)
                work.save(words.model_dump(mode="json"), engine=made_by)
    words = Transcript.model_validate(work.document)
    new_s = words.duration_s - work.checkpoint.resumed_s
    subject = Subject(
        work.document,
        audio=sound.document,
        transcript=words,
        options=stage.subtitle_options,
        speed=_speed(stage, work, new_s),
    )
    metadata = transcript_metadata(words, work.checkpoint.resumed_s)
    return work.result(metadata, subject, audio_s=new_s)


@stage_asset(kinds={"whisper", "python"}, domain="speech")
def alignment(stage: Stage) -> StageResult:
    """The transcript with every word at its final time; each word names the source of its time."""
    sound = stage.input("audio")
    source = stage.input("transcript", of=sound)
    words = Transcript.model_validate(source.document)
    # The aligner that is used, not the one asked for: `auto` depends on the language and the device.
    aligner = stage.resources.speech.aligner(stage.speech_options, words)
    options = stage.speech_options.model_copy(update={"aligner": aligner})
    inputs = {"audio": sound.content, "transcript": source.content}
    with stage.work(source.video_hash, inputs, {"aligner": aligner.value}) as work:
        if work.is_due and aligner is Aligner.ATTENTION:  # the transcript has these times: no model is needed
            timed = words.model_copy(update={"aligner": aligner.value})
            work.save(timed.model_dump(mode="json"), engine=EngineInfo(**source.made_by))
        elif work.is_due:
            with stage.decoded(sound) as decoded, stage.engine(options) as engine:
                timed = engine.align(decoded, words, options, stage.report_progress)
                work.save(timed.model_dump(mode="json"), engine=engine.describe())
    timed = Transcript.model_validate(work.document)
    subject = Subject(work.document, audio=sound.document, transcript=timed, options=stage.subtitle_options)
    # Taking over the transcript's times is no work on the sound: it has no speed.
    audio_s = None if aligner is Aligner.ATTENTION else timed.duration_s
    return work.result(alignment_metadata(work.artifact, timed), subject, audio_s=audio_s)


@stage_asset(kinds={"python"}, domain="subtitles")
def subtitles(stage: Stage) -> StageResult:
    """Subtitle files beside the video or in a folder of choice, and how readable they are."""
    source, options, title = stage.input("alignment"), stage.subtitle_options, title_of(stage.path)
    words = Transcript.model_validate(source.document)
    recorded, sound = stage.find("video"), stage.find("audio")
    video = MediaInfo.model_validate(recorded.document) if recorded else None
    end_s = end_of_media(video, sound.document if sound else None)
    # The title stands in some formats; no cue is shown after the video's end.
    decides = {**stage.deciding_options, "title": title, "end_s": end_s}
    with stage.work(source.video_hash, {"alignment": source.content}, decides) as work:
        if work.is_due:
            picture = look_at_picture(stage.path) if options.guide.timing.looks_at_picture else None
            document = render_subtitles(words, options, title, work.folder, end_s, picture)
            work.save(document, files=[f"subtitles.{kind}" for kind in options.formats])
    subject = Subject(
        work.document,
        video=video,
        audio=sound.document if sound else None,
        transcript=words,
        options=options,
        files=tuple(work.artifact.files),
        read=partial(stage.resources.storage.read, work.artifact),
    )
    metadata = subtitle_metadata(work.document, delivered=())
    deliver = partial(_deliver, stage, work, words)
    return work.result(metadata, subject, audio_s=words.duration_s, deliver=deliver)


def build_assets(checks: CheckSettings, group_size: int) -> list[dg.AssetsDefinition]:
    """Build the assets, in the order in which they follow each other.

    Args:
        checks: Which checks there are, and how much they matter.
        group_size: The most videos of a backfill that share a run.
    """
    stages = (video, audio, transcript, alignment, subtitles)
    return [stage.build(checks, group_size) for stage in stages]


def _speed(stage: Stage, work: StageWork, audio_s: float) -> Speed:
    if work.reused or work.checkpoint.resumed_s:  # a part of the work says little of the speed
        return Speed(None)
    made_by = work.artifact.made_by
    usual = stage.resources.ledger.materializations.speeds(
        stage.name, made_by["model"], made_by["device"], KNOWN_SPEEDS
    )
    return Speed(audio_s / work.work_s, tuple(usual))


def _deliver(stage: Stage, work: StageWork, words: Transcript) -> Metadata:
    delivered = deliver_subtitles(
        stage.resources.storage,
        work.artifact,
        words,
        stage.partition_key,
        stage.path,
        stage.resources.launch.output_dir,
        stage.subtitle_options.write_empty,
        stage.subtitle_options.mux,
    )
    return subtitle_metadata(work.document, delivered.files, delivered.edit)
