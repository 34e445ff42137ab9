"""Cache keys: what decides the result of a stage, beside the video itself.

A stage's cache key is `<code version>.<hash of the deciding options>`. The artifact's own key is made of the
same parts and of the inputs' content. Where the cache key that is noted with a video differs from the one of
the settings now, the stage would make something else today: the ledger calls it the recipe.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from yivideo_pipeline.settings.options import SpeechOptions, differences
from yivideo_pipeline.settings.style_guides import StyleProfile
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.artifacts import canonical_json

TRANSCRIPT_OPTIONS = {"language", "compute_type", "use_faster_whisper", "beam_size", "zh_script"}
"""The options that change the text, beside the weights. Device, batch size and threads change only its cost;
the compute type counts as it was asked for, so that a run that had to fall back is not repeated for it."""


def cache_keys(speech: SpeechOptions, subtitles: SubtitleOptions, revision: str) -> dict[str, str]:
    """Return the cache key of every stage.

    Args:
        speech: Options of recognition and alignment.
        subtitles: Options of the subtitles.
        revision: Of the weights that `speech` names, from the `speech` resource.
    """
    return {stage: cache_key(stage, deciding_options(stage, speech, subtitles, revision)) for stage in STAGES}


def current_keys(
    speech: SpeechOptions, subtitles: SubtitleOptions, revision: str | None
) -> dict[str, tuple[str, ...]]:
    """Return the cache keys by which each stage is up to date; a stage whose keys are unknown is left out.

    Where the settings leave the model to `auto`, a transcript is up to date if `auto` chose its model then,
    whatever it would choose now; or if the same one was named, as `base` was by default in earlier versions.

    Args:
        speech: Options of recognition and alignment.
        subtitles: Options of the subtitles.
        revision: Of the weights that `speech` names, or that `auto` means now; None where it is not known.
    """
    weights = [AUTO_MODEL] if speech.model_name == AUTO_MODEL else []
    if revision is not None:
        weights.append(revision)
    by_weights = [cache_keys(speech, subtitles, one) for one in weights or [""]]
    keys = {stage: tuple(dict.fromkeys(one[stage] for one in by_weights)) for stage in STAGES}
    if not weights:
        del keys["transcript"]
    return keys


def weights_asked(speech: SpeechOptions, find_revision: Callable[[SpeechOptions], str]) -> str:
    """Return the weights that a transcript is asked for with: their revision, or `auto`.

    A video that has a transcript is thus not stale because another machine, or a later day, chooses another
    model for it.
    """
    return AUTO_MODEL if speech.model_name == AUTO_MODEL else find_revision(speech)


def cache_key(stage: str, options: Mapping[str, Any]) -> str:
    """Return the key of a stage's code and deciding options: `<code version>.<12 hexadecimal characters>`."""
    digest = hashlib.sha256(canonical_json(dict(options)).encode("utf-8")).hexdigest()
    return f"{STAGES[stage].code_version}.{digest[:12]}"


def deciding_options(
    stage: str, speech: SpeechOptions, subtitles: SubtitleOptions, revision: str
) -> dict[str, Any]:
    """Return the options that decide the result of a stage, as they were asked for.

    Args:
        stage: The stage's name.
        speech: Options of recognition and alignment.
        subtitles: Options of the subtitles.
        revision: Of the weights that `speech` names; it decides the transcript alone. As the ledger has it,
            `auto` counts as it was asked for: see `weights_asked`.
    """
    match stage:
        case "audio":  # it may choose another of the video's streams
            asked = {} if speech.audio_track == "auto" else {"audio_track": speech.audio_track}
            return {"language": speech.language, **asked}
        case "transcript":
            # These are named only where they are not the default: older transcripts keep their key.
            changed = differences(speech, SpeechOptions()).keys()
            later = {"task", "initial_prompt", "temperature", "vocabulary"} & changed
            names = TRANSCRIPT_OPTIONS | later
            return {**speech.model_dump(mode="json", include=names), "weights": revision}
        case "alignment":
            return {"aligner": speech.aligner.value}
        case "subtitles":
            # A copy of the video is delivered, not made by the stage; `default` has the key that it had.
            default = {"profile"} if subtitles.profile is StyleProfile.DEFAULT else set()
            return subtitles.model_dump(mode="json", exclude={"mux", *default})
        case _:
            return {}
