"""The library's own functions: a transcript of a file or an array, and subtitles of a transcript.

They use the settings of the `yivideo` command (config.yml, environment) and the model manager of this
process, so that a model is loaded once.
"""

import os
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigValidationError, DiskError, MediaError
from yivideo_pipeline.media.decode import AudioInput, DecodedAudio, open_sound
from yivideo_pipeline.settings.load import apply_environment, load_settings
from yivideo_pipeline.settings.options import SpeechOptions, override
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.speech.engine import Progress
from yivideo_pipeline.speech.loading import shared_manager
from yivideo_pipeline.speech.manager import ModelManager
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.writers import render


def transcribe(
    source: AudioInput,
    options: SpeechOptions | None = None,
    *,
    model: str | None = None,
    on_progress: Progress | None = None,
    **changes: Any,
) -> Transcript:
    """Recognize the speech of a video or sound, with a time for every word.

    The model is loaded at the first call and stays loaded; a call with another model replaces it.

    Args:
        source: Path of a video or audio file; or mono 16 kHz samples, floats in -1..1, shape (n,).
        options: What is recognized, how; by default the settings' `speech` section.
        model: A model's name, folder or hub id, in place of the options' `model_name`.
        on_progress: Called with the fraction of the recognition that is done, 0 to 1.
        changes: Fields of `SpeechOptions` in place of the options' own, such as `language="zh"`.

    Returns:
        The transcript; `words` has all words in order. A source without speech gives an empty transcript
        whose `empty_reason` says why.

    Raises:
        MediaError: There is no such file, it has no sound, or it can't be decoded.
        ConfigValidationError: An option is unknown, not allowed, or does not work on this machine.
        YivideoError: The model can't be loaded, or fails.
    """
    if model is not None:
        changes["model_name"] = model
    chosen = override(options or load_settings().speech.options, changes)
    with ExitStack() as stack:
        sound = _enter_sound(stack, source, chosen)
        engine = stack.enter_context(get_model_manager().lease(chosen))
        transcript = engine.transcribe(sound.audio, chosen, on_progress)
        if transcript.words:
            transcript = engine.align(sound.audio, transcript, chosen)
    return transcript.model_copy(update={"warnings": (*sound.warnings, *transcript.warnings)})


def write_subtitles(
    transcript: Transcript,
    path: str | PathLike[str],
    options: SubtitleOptions | None = None,
    *,
    title: str | None = None,
    **changes: Any,
) -> Path:
    """Write a transcript as a subtitle file, in the format of the file's name; an existing file is replaced.

    Args:
        transcript: As `transcribe` returns it.
        path: The file: .srt, .vtt, .ass, .ttml, .json (WhisperX's shape), .txt (a sentence a line),
            .imsc.ttml, .ebu.ttml, or, with the times of words, .words.vtt and .karaoke.ass.
        options: How words become cues; by default the settings' `subtitles` section.
        title: The video's title, for the formats that have one (ASS, TTML).
        changes: Fields of `SubtitleOptions` in place of the options' own, such as `max_lines=1`.

    Returns:
        The file.

    Raises:
        ConfigValidationError: The name has no known format, or an option is unknown or not allowed.
        DiskError: The file can't be written.
    """
    target = Path(path)
    kind = _format_of(target)
    chosen = override(options or load_settings().subtitles, changes)
    text = render(build_cues(transcript, chosen), transcript, kind, title)
    try:
        target.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise classify(error) from error
    return target


def get_model_manager() -> ModelManager:
    """Return the model manager of this process.

    `with manager.get_models() as (asr_model, align_model, align_metadata, model_config)` lends the models of
    the settings' `speech` section; the settings are read at each call, and another model is loaded when they
    have changed.
    """
    settings = load_settings()
    apply_environment(settings)
    return shared_manager(settings, lambda: load_settings().speech.options)


def _enter_sound(stack: ExitStack, source: AudioInput, options: SpeechOptions) -> DecodedAudio:
    """Open the sound until the stack ends; an error begins with the path of the file."""
    try:
        return stack.enter_context(open_sound(source, options.language, options.audio_track))
    except (MediaError, DiskError) as error:
        if isinstance(source, str | PathLike):
            raise type(error)(f"{os.fspath(source)}: {error.message}", error.hint) from error
        raise


def _format_of(path: Path) -> SubtitleFormat:
    """Return the format with the longest ending that a name has: `talk.words.vtt` is not plain WebVTT."""
    fitting = [kind for kind in SubtitleFormat if path.name.lower().endswith(f".{kind.ending}")]
    if not fitting:
        known = ", ".join(f".{kind.ending}" for kind in SubtitleFormat)
        raise ConfigValidationError(
            f"{path}: {path.suffix or 'a name without an extension'} is not a subtitle format",
            f"Choose a name that ends in one of {known}",
        )
    return max(fitting, key=lambda kind: len(kind.ending))
