"""What one launch may choose: the configuration of the launchpad, typed, and checked before there is a run.

Dagster refuses what its types don't know: other names, other types, values that are in no enumeration. Bounds
of numbers, and values that don't go with each other, are beyond these types: `Launch` refuses them when the
code server plans the run, which is before the run is created.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType, NoneType
from typing import Any, Protocol, get_args, get_origin

import dagster as dg
from annotated_types import Ge, Le
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from yivideo_pipeline.defs.dagster_internals import CheckedResource
from yivideo_pipeline.errors.tree import ConfigError, ConfigValidationError, YivideoError
from yivideo_pipeline.settings.languages import AUTO, language_names
from yivideo_pipeline.settings.options import (
    CUSTOM_MODEL,
    LAUNCHED_LANGUAGES,
    Aligner,
    OptionsT,
    SpeechOptions,
    override,
)
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL, MODELS
from yivideo_pipeline.speech.engine import SpeechEngine
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.partition_keys import lies_inside, output_folder

_HINT = "Change it in the launch's configuration"
_NAMED_CHOICES = 12
"""Dagster's refusal names the enumeration, so one of no more choices is named by them."""


def _choices(name: str, values: Iterable[str]) -> type[StrEnum]:
    """Return an enumeration whose names are its values, since Dagster takes names."""
    known = tuple(map(str, values))
    return StrEnum(" | ".join(known) if len(known) <= _NAMED_CHOICES else name, {one: one for one in known})


KnownLanguage = _choices("known_language", (AUTO, *language_names()))
_LISTED = {
    "model_name": _choices("known_model", (AUTO_MODEL, *MODELS)),
    "language": KnownLanguage,
}
"""Enumerations of the options that are plain text elsewhere."""


def overrides_of(options: type[BaseModel], name: str, **further: Any) -> type[dg.Config]:
    """Return a Dagster config for an options model: the same fields, each optional.

    Args:
        options: The options.
        name: The name of the config's class.
        further: Fields that it has besides, as pydantic defines them.
    """
    fields: dict[str, Any] = {
        field: (_type_of(field, info) | None, Field(None, description=_describe(info)))
        for field, info in options.model_fields.items()
    }
    return create_model(name, __base__=dg.Config, **fields, **further)


def _type_of(name: str, info: FieldInfo) -> Any:
    """Return the type of an option in the launchpad: its own, or an enumeration of what it may be."""
    if name in _LISTED:
        return _LISTED[name]
    item, *_ = [one for one in get_args(info.annotation) if one is not NoneType] or [info.annotation]
    is_choice = isinstance(item, type) and issubclass(item, Enum)
    kind: Any = _choices(item.__name__, item) if is_choice else item
    return list[kind] if get_origin(info.annotation) is tuple else kind


def _describe(info: FieldInfo) -> str:
    low = next((f"{mark.ge:g}" for mark in info.metadata if isinstance(mark, Ge)), "")
    high = next((f"{mark.le:g}" for mark in info.metadata if isinstance(mark, Le)), "")
    bounds = f" ({low} to {high})" if low and high else ""
    return f"{info.description}{bounds}. Unset: the setting"


SpeechConfig = overrides_of(
    SpeechOptions,
    "SpeechConfig",
    **{
        CUSTOM_MODEL: (
            str | None,
            Field(None, description="Folder of a model, or a hub id (owner/name), in place of model_name"),
        ),
        LAUNCHED_LANGUAGES: (
            list[KnownLanguage] | None,  # ty: ignore[invalid-type-form]
            Field(None, description="Languages between which the sound changes, in place of language"),
        ),
    },
)
SubtitleConfig = overrides_of(SubtitleOptions, "SubtitleConfig")


@dataclass(frozen=True)
class Listener:
    """Who watches the run in this process; several threads may call it.

    Attributes:
        on_progress: Receives a video's key, the stage and the done share, 0 to 1.
        is_stopped: Says whether the user asked to stop.
    """

    on_progress: Callable[[str, str, float], None] = lambda key, stage, fraction: None
    is_stopped: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class SettingsSource:
    """Reads the settings as they are now: a code server lives on while their file changes."""

    read: Callable[[], Settings]


class SpeechResource(Protocol):
    """The speech models, wherever they run."""

    def silent_service(self) -> str:
        """Return the service that they need and that does not answer now; empty where there is none."""
        ...

    def choose(self, options: SpeechOptions) -> ModelChoice:
        """Return the options with the model that `auto` means where the models run; others as they are."""
        ...

    def check(self, options: SpeechOptions) -> tuple[str, ...]:
        """Return warnings about the options, before anything is loaded.

        Raises:
            ConfigValidationError: they can't work where the models run.
        """
        ...

    def prepare(self, options: SpeechOptions) -> None:
        """Begin to load the models where that is known to be worth it; returns at once."""
        ...

    def revision(self, options: SpeechOptions) -> str:
        """Return the revision of the weights that the options name, without loading them."""
        ...

    def aligner(self, options: SpeechOptions, transcript: Transcript) -> Aligner:
        """Return the aligner for this transcript where the models run; never `auto`.

        Raises:
            ModelLoadError: wav2vec2 was asked for and is not available.
        """
        ...

    def engine(
        self, options: SpeechOptions, background: bool = False
    ) -> AbstractContextManager[SpeechEngine]:
        """Lend an engine, loading the models where needed; they stay loaded for the next one.

        Args:
            options: They name the models.
            background: Whether others that want the same models at the same time go first.
        """
        ...


class Launch(CheckedResource):
    """The speech models, and the options of one run: the settings, with those of the launch in their place.

    Attributes:
        models: The models; they stay loaded from one run of a process to the next.
        settings: As they were when this process read them: a run has one version of them.
        source: The settings as they are now, for ticks and for launches.
        listener: Called with the progress of each stage.
        writes_anywhere: Whether `output_dir` may be any folder, since the user of this process named it.
    """

    models: dg.ResourceDependency[SpeechResource]
    settings: dg.ResourceDependency[Settings]
    source: dg.ResourceDependency[SettingsSource]
    listener: dg.ResourceDependency[Listener]
    writes_anywhere: dg.ResourceDependency[bool]
    speech: SpeechConfig = SpeechConfig()  # ty: ignore[invalid-type-form]
    subtitles: SubtitleConfig = SubtitleConfig()  # ty: ignore[invalid-type-form]
    output_dir: str | None = Field(
        None,
        description="Folder or s3://… for the subtitles, under a library root or one of service.roots;"
        " unset: beside the video",
    )

    def speech_options(self) -> SpeechOptions:
        """Return the options of recognition and alignment."""
        return _speech_options(self.settings, self.speech.model_dump(mode="json"))

    def subtitle_options(self) -> SubtitleOptions:
        """Return the options of the subtitles."""
        return _override(self.settings.subtitles, self.subtitles.model_dump(mode="json"), "subtitles")

    def chosen(self, options: SpeechOptions) -> SpeechOptions:
        """Return the options with the model that `auto` means, as long as that can be found out."""
        try:
            return self.models.choose(options).options
        except YivideoError:  # a service is restarting, say
            return options

    def problem_with(self, config: Mapping[str, Any]) -> str | None:
        """Return what is wrong with a launch's configuration beyond its types; None where it may run."""
        speech, subtitles = _given(config.get("speech")), _given(config.get("subtitles"))
        output_dir = config.get("output_dir")
        if not (speech or subtitles or output_dir is not None):  # a tick's, too
            return None
        try:
            settings = self.source.read()
            options = _speech_options(settings, speech)
            if speech:
                self._check_machine(options)
            _override(settings.subtitles, subtitles, "subtitles")
            if output_dir is not None and not self.writes_anywhere:
                _require_allowed(output_dir, settings)
        except ConfigError as error:
            return str(error)
        return None

    def _check_machine(self, options: SpeechOptions) -> None:
        """Check options where the models run, as long as that can be found out."""
        try:
            self.models.check(options)
        except ConfigError:
            raise
        except YivideoError:  # a service is restarting, say: the run finds out
            return


def _given(section: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (section or {}).items() if value is not None}


def _speech_options(settings: Settings, given: Mapping[str, Any]) -> SpeechOptions:
    values = dict(given)
    several = values.pop(LAUNCHED_LANGUAGES, None)
    if several is not None:
        if values.get("language"):
            raise ConfigValidationError(
                f"speech.{LAUNCHED_LANGUAGES}: language is given too: keep one of them"
            )
        values["language"] = several
    custom = values.pop(CUSTOM_MODEL, None)
    if custom is not None:
        if values.get("model_name"):
            raise ConfigValidationError(f"speech.{CUSTOM_MODEL}: model_name is given too: keep one of them")
        values["model_name"] = custom
        return _override(settings.speech.options, values, "speech", {"model_name": CUSTOM_MODEL})
    return _override(settings.speech.options, values, "speech")


def _override(
    base: OptionsT, given: Mapping[str, Any], section: str, names: Mapping[str, str] = MappingProxyType({})
) -> OptionsT:
    return override(base, given, section, name_field=lambda name: names.get(name, name), hint=_HINT)


def _require_allowed(output_dir: str, settings: Settings) -> None:
    folder = output_folder(output_dir)
    if folder is None:
        raise ConfigValidationError(f"output_dir: {output_dir!r} is not absolute: give the whole path")
    if not lies_inside(folder, settings.allowed_folders):
        raise ConfigValidationError(
            f"output_dir: {output_dir} lies outside the allowed folders:"
            " choose one under a library root, or add it to service.roots"
        )
