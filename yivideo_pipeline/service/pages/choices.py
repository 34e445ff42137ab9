"""What the dialog "process with choices" offers, on the pages of the library and of the review."""

from typing import Any

from yivideo_pipeline.settings.languages import LANGUAGES
from yivideo_pipeline.settings.options import Task
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.style_guides import StyleProfile
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL, MODELS


def choices_of(settings: Settings) -> dict[str, Any]:
    """Return what `choices.html` shows: the values of each list, and what the settings say."""
    speech, profile = settings.speech.options, settings.subtitles.profile
    return {
        "choices": {
            "language": ("auto", *LANGUAGES),
            "model_name": (AUTO_MODEL, *MODELS),
            "task": tuple(task.value for task in Task),
            "profile": tuple(profile.value for profile in StyleProfile),
        },
        "chosen": {
            "language": speech.language,
            "model_name": speech.model_name,
            "task": speech.task.value,
            "profile": profile.value,
            "audio_track": speech.audio_track,
        },
    }
