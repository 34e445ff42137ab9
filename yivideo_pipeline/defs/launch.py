"""What a run was asked to do: the settings, and what the launch changes of them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar, get_origin

import dagster as dg
from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.settings.messages import explain
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.options import SpeechOptions, SubtitleOptions

OptionsT = TypeVar("OptionsT", SpeechOptions, SubtitleOptions)


def overrides_of(options: type[BaseModel], name: str) -> type[dg.Config]:
    """Make a Dagster config of an options model: the same fields, each optional.

    Bounds and choices are left to the options model, whose messages say what to change.
    """
    fields: dict[str, Any] = {
        field: (_optional(info.annotation), Field(None, description=_describe(info)))
        for field, info in options.model_fields.items()
    }
    return create_model(name, __base__=dg.Config, **fields)


def _optional(annotation: Any) -> Any:
    if get_origin(annotation) is tuple:
        return list[str] | None
    numbers = {int: int | None, int | None: int | None, float: float | None, bool: bool | None}
    # Of an enum Dagster would offer the names, not the values: choices are text here.
    return numbers.get(annotation, str | None)


def _describe(info: FieldInfo) -> str:
    is_choice = isinstance(info.annotation, type) and issubclass(info.annotation, Enum)
    choices = f" ({', '.join(info.annotation)})" if is_choice else ""
    return f"{info.description}{choices}. Unset: as the settings say"


SpeechConfig = overrides_of(SpeechOptions, "SpeechConfig")
SubtitleConfig = overrides_of(SubtitleOptions, "SubtitleConfig")


@dataclass(frozen=True)
class Listener:
    """Told the stage and how much of it is done, 0 to 1; by default nobody listens."""

    tell: Callable[[str, float], None] = lambda stage, fraction: None


class Launch(dg.ConfigurableResource):
    """The options of one run: the settings' own, with what the launch gives in their place."""

    settings: dg.ResourceDependency[Settings]
    listener: dg.ResourceDependency[Listener]
    speech: SpeechConfig = SpeechConfig()  # ty: ignore[invalid-type-form]
    subtitles: SubtitleConfig = SubtitleConfig()  # ty: ignore[invalid-type-form]
    output_dir: str | None = Field(None, description="Folder for the subtitles; unset: beside the video")

    def speech_options(self) -> SpeechOptions:
        """Return what is recognized, how.

        Raises:
            ConfigValidationError: the launch asks for what can't be; one line a field.
        """
        return _override(self.settings.speech, self.speech, "speech")

    def subtitle_options(self) -> SubtitleOptions:
        """Return how words become cues, and in which formats.

        Raises:
            ConfigValidationError: the launch asks for what can't be; one line a field.
        """
        return _override(self.settings.subtitles, self.subtitles, "subtitles")


def _override(options: OptionsT, changes: dg.Config, section: str) -> OptionsT:
    given = changes.model_dump(exclude_none=True)
    try:
        return type(options).model_validate({**options.model_dump(), **given})
    except ValidationError as error:
        lines = explain(error, type(options), lambda path: ".".join((section, *path)))
        raise ConfigValidationError("\n".join(lines), "Change it in the launch's configuration") from None
