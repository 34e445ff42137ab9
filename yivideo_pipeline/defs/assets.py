"""The asset around a stage: what all five have in common."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.checks import Speed, Subject, specs_of
from yivideo_pipeline.defs.dagster_internals import videos
from yivideo_pipeline.defs.execution import PERSONS, Make, make_one
from yivideo_pipeline.defs.metadata import (
    Facts,
    alignment_facts,
    audio_facts,
    subtitle_facts,
    transcript_facts,
    video_facts,
)
from yivideo_pipeline.defs.multi_run import Event, Group
from yivideo_pipeline.defs.resources import Launch, Library, SpeechResource
from yivideo_pipeline.defs.runs import tag_run, trigger_of
from yivideo_pipeline.defs.stage import Kept, Made, Result, Stage, Tools
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.images import peaks, poster_jpeg
from yivideo_pipeline.media.probe import MediaInfo, StreamInfo, choose_audio_stream, content_hash, probe
from yivideo_pipeline.settings.options import Aligner, SubtitleOptions
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.vad import speech_spans
from yivideo_pipeline.stages import GPU_POOL, GROUP, OWNERS, STAGES
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.subtitles.cues import Cue, build_cues
from yivideo_pipeline.subtitles.delivery import hand_over, title_of
from yivideo_pipeline.subtitles.quality import measure_quality
from yivideo_pipeline.subtitles.writers import render


def build_asset(
    name: str, make: Make, settings: Settings, kinds: set[str], domain: str, *, needs_model: bool = False
) -> dg.AssetsDefinition:
    """Build a stage's asset, with its checks.

    Args:
        name: The stage's name, which is the asset's.
        make: What the stage does for one video; its docstring describes the asset.
        settings: The process's settings.
        kinds: What the UI shows of it.
        domain: The part of the pipeline that it belongs to.
        needs_model: It takes turns with all other steps that use a model.
    """

    def stage(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[Storage],
        library: dg.ResourceParam[Library],
        speech: dg.ResourceParam[SpeechResource],
        launch: Launch,
        ledger: dg.ResourceParam[Ledger],
    ) -> Iterator[Event]:
        background = trigger_of(context.run) not in PERSONS
        tools = Tools(storage, library, speech, launch, ledger, background)
        try:
            tag_run(context, tools)
            if context.has_partition_key:
                yield from make_one(context, tools, make)
            else:
                yield from Group(context, tools, make).run()
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            # Ctrl-C in a terminal cancels the run. In a run of the services it means that they are being
            # stopped: Dagster counts it as failed then, and takes it up again when they are back.
            if trigger_of(context.run) == "cli":
                context.instance.report_run_canceling(context.run)
            raise

    with warnings.catch_warnings():
        # A policy for backfills is beta in Dagster; what it must do is tested.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.asset(
            name=name,
            description=inspect.getdoc(make),
            deps=STAGES[name].upstream,
            partitions_def=videos,
            code_version=STAGES[name].code_version,
            group_name=GROUP,
            owners=OWNERS,
            kinds=kinds,
            tags={"domain": domain},
            pool=GPU_POOL if needs_model else None,
            backfill_policy=dg.BackfillPolicy.multi_run(settings.runs.group_size),
            check_specs=specs_of(name, settings),
        )(stage)


# PART defs/assets/video.py: The video: what it holds, and the hash that all else is found by.


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


# PART defs/assets/transcript.py: The transcript: what was said.

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
    usual = stage.tools.ledger.materializations.speeds(stage.name, by["model"], by["device"], KNOWN_SPEEDS)
    return Speed(audio_s / kept.metrics.wall_s, tuple(usual))


# PART defs/assets/alignment.py: The alignment: when each word was said.


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


# PART defs/rendering.py: What the subtitles stage makes.

FIRST_CUES = 8
UNKNOWN_LANGUAGE = "und"


def render_all(
    transcript: Transcript, options: SubtitleOptions, title: str, folder: Path
) -> tuple[dict[str, Any], dict[str, Path]]:
    """Write every wanted format into a folder; return what is known of the cues, and the files."""
    cues = build_cues(transcript, options)
    files = {f"subtitles.{kind}": folder / f"subtitles.{kind}" for kind in options.formats}
    for kind, path in zip(options.formats, files.values(), strict=True):
        path.write_text(render(cues, transcript, kind, title), encoding="utf-8", newline="")
    document = {
        "language": transcript.language or UNKNOWN_LANGUAGE,
        "language_probability": transcript.language_probability,
        "duration_s": transcript.duration_s,
        "speech_s": transcript.speech_s,
        "empty_reason": transcript.empty_reason,
        "quality": measure_quality(cues, transcript, options).model_dump(mode="json"),
        "first_cues": _first(cues),
        "warnings": list(transcript.warnings),
        # For whoever edits them: to cut a long transcript anew takes seconds.
        "cues": [(cue.start_ms, cue.end_ms, cue.text) for cue in cues],
        "options": options.model_dump(mode="json"),
    }
    return document, files


def _first(cues: Sequence[Cue]) -> list[dict[str, Any]]:
    return [{"start_ms": cue.start_ms, "end_ms": cue.end_ms, "text": cue.text} for cue in cues[:FIRST_CUES]]


# PART defs/assets/subtitles.py: The subtitles: cues in the wanted formats, delivered where the person looks for them.


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


# PART defs/sound.py: What the audio stage makes: the decoded sound, where speech is in it, and its outline.

OUTLINE_BINS = 480


def decode_and_look(
    source: Path, target: Path, stream: StreamInfo, progress: Callable[[float], None]
) -> dict[str, Any]:
    """Decode a stream to `target` and return what is known of the sound, as JSON.

    `outline` holds the lowest and highest sample of each of 480 parts in percent of full scale,
    `speech_spans` are on the video's clock.
    """
    decoded = decode_audio(source, target, stream, progress)
    sound = decoded.audio
    spans = speech_spans(sound)
    return {
        "offset_s": sound.offset_s,
        "duration_s": sound.duration_s,
        "stream": stream.model_dump(mode="json"),
        "speech_spans": [[s.start_s + sound.offset_s, s.end_s + sound.offset_s] for s in spans],
        "outline": (peaks(sound, OUTLINE_BINS) * 100).round().astype(int).tolist(),
        "warnings": list(decoded.warnings),
        "truncated_at_s": decoded.truncated_at_s,
    }


# PART defs/assets/audio.py: The audio: one stream of the video, decoded for the recognizer.


def make_audio(stage: Stage) -> Result:
    """The sound that is transcribed: 16 kHz mono, in time with the picture."""
    video = stage.input("video")
    info = MediaInfo.model_validate(video.document)
    stream = choose_audio_stream(info, stage.speech_options.language)
    path = stage.path

    def decode(folder: Path) -> Made:
        document = decode_and_look(path, folder / "audio.wav", stream, stage.progress)
        return Made(document, {"audio.wav": folder / "audio.wav"})

    # The stream, not the language that chose it: another language may choose the same one.
    kept = stage.make_once(video.video_hash, {"video": video.video_hash}, {"stream": stream.index}, decode)
    return Result(
        kept,
        audio_facts(kept.document, stream),
        Subject(kept.document, video=info),
        audio_s=kept.document["duration_s"],
    )


# PART defs/assets/__init__.py: The five assets, one a stage; each loads, calls the domain, stores and describes.


def build_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Build the stages' assets, in the order in which they follow each other."""
    return [
        build_asset("video", make_video, settings, kinds={"video", "python"}, domain="media"),
        build_asset("audio", make_audio, settings, kinds={"audio", "python"}, domain="media"),
        build_asset(
            "transcript",
            make_transcript,
            settings,
            kinds={"whisper", "python"},
            domain="speech",
            needs_model=True,
        ),
        build_asset(
            "alignment",
            make_alignment,
            settings,
            kinds={"whisper", "python"},
            domain="speech",
            needs_model=True,
        ),
        build_asset("subtitles", make_subtitles, settings, kinds={"python"}, domain="subtitles"),
    ]
