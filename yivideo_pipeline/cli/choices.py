"""What a command line changes of the settings, checked before anything else happens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.settings.messages import explain
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.options import SpeechOptions, SubtitleOptions

_FLAGS = {"model_name": "--model", "formats": "--format"}
"""Flags that are called otherwise than the option."""

OptionsT = TypeVar("OptionsT", SpeechOptions, SubtitleOptions)


@dataclass(frozen=True)
class Choices:
    """Options by name; None where the command line leaves them to the settings."""

    speech: Mapping[str, Any]
    subtitles: Mapping[str, Any]

    def over(self, settings: Settings) -> "Chosen":
        """Put the choices over the settings.

        Raises:
            ConfigValidationError: a choice is not allowed, or does not go with the settings.
        """
        problems: list[str] = []
        speech = _merge(settings.speech, self.speech, problems)
        subtitles = _merge(settings.subtitles, self.subtitles, problems)
        if problems:
            raise ConfigValidationError("\n".join(problems))
        return Chosen(speech, _given(speech, self.speech), subtitles, _given(subtitles, self.subtitles))


@dataclass(frozen=True)
class Chosen:
    """All options as they apply, and those alone that the command line gave, as plain values."""

    speech: SpeechOptions
    speech_given: dict[str, Any]
    subtitles: SubtitleOptions
    subtitles_given: dict[str, Any]


def _merge(options: OptionsT, choices: Mapping[str, Any], problems: list[str]) -> OptionsT:
    """Return the options with the choices over them; what is not allowed goes to `problems`."""
    given = {name: value for name, value in choices.items() if value is not None}
    try:
        return type(options).model_validate({**options.model_dump(), **given})
    except ValidationError as error:
        problems += explain(error, type(options), lambda path: ", ".join(_flag(name) for name in path))
        return options


def _given(options: SpeechOptions | SubtitleOptions, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The given ones as they were understood: a language's code, a folder's whole path."""
    names = {name for name, value in choices.items() if value is not None}
    return options.model_dump(mode="json", include=names)


def _flag(name: str) -> str:
    return _FLAGS.get(name, "--" + name.replace("_", "-"))
