"""Recipes: what decides what a stage makes, beside the video itself.

A recipe is `<code version>.<hash of the deciding options>`. The stage's key is made of the same parts and of
the inputs' content: where a video's recipe is no longer the settings', the stage would make something else.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from yivideo_pipeline.settings.options import SpeechOptions, SubtitleOptions, Task
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.stage_keys import canonical_json

TRANSCRIPT_OPTIONS = {"language", "compute_type", "use_faster_whisper", "beam_size", "zh_script"}
"""What changes the text, beside the weights. Device, batch size and threads change its price alone; the
compute type counts as it was asked for, so that a run that had to fall back is not repeated for it."""


def deciding_options(
    stage: str, speech: SpeechOptions, subtitles: SubtitleOptions, revision: str
) -> dict[str, Any]:
    """Return the options that decide what a stage makes, as they were asked for.

    Args:
        stage: The stage's name.
        speech: What is recognized, how.
        subtitles: How words become cues.
        revision: Of the weights that `speech` names; it decides the transcript alone.
    """
    match stage:
        case "audio":  # it may choose another of the video's streams
            return {"language": speech.language}
        case "transcript":
            # Only a translation names its task: transcripts made before there was a choice keep their key.
            names = TRANSCRIPT_OPTIONS | ({"task"} if speech.task is Task.TRANSLATE else set())
            return {**speech.model_dump(mode="json", include=names), "weights": revision}
        case "alignment":
            return {"aligner": speech.aligner.value}
        case "subtitles":
            return subtitles.model_dump(mode="json")
        case _:
            return {}


def recipe_of(stage: str, options: Mapping[str, Any]) -> str:
    """Name a stage's code and deciding options: `<code version>.<12 hexadecimal characters>`."""
    digest = hashlib.sha256(canonical_json(dict(options)).encode("utf-8")).hexdigest()
    return f"{STAGES[stage].code_version}.{digest[:12]}"


def recipes(settings: Settings, revision: str) -> dict[str, str]:
    """Return the recipe of every stage as the settings are now.

    Args:
        settings: The process's settings.
        revision: Of the weights that they name, from the `speech` resource.
    """
    return {
        stage: recipe_of(stage, deciding_options(stage, settings.speech.options, settings.subtitles, revision))
        for stage in STAGES
    }
