"""The resources of assets, sensors and schedules, built from the settings once per process."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, get_origin

import dagster as dg
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from yivideo_pipeline.errors.tree import DiskError
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.remote.client import choose_speech
from yivideo_pipeline.settings.options import Aligner, SpeechOptions, SubtitleOptions, override
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.engine import SpeechEngine
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import key_of, path_of

_HINT = "Change it in the launch's configuration"


def overrides_of(options: type[BaseModel], name: str) -> type[dg.Config]:
    """Return a Dagster config for an options model: the same fields, each optional.

    Bounds and choices are checked by the options model, whose messages say what to change.
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
    # For an enum Dagster would offer the names, not the values, so choices are text here.
    return numbers.get(annotation, str | None)


def _describe(info: FieldInfo) -> str:
    is_choice = isinstance(info.annotation, type) and issubclass(info.annotation, Enum)
    choices = f" ({', '.join(info.annotation)})" if is_choice else ""
    return f"{info.description}{choices}. Unset: the setting"


SpeechConfig = overrides_of(SpeechOptions, "SpeechConfig")
SubtitleConfig = overrides_of(SubtitleOptions, "SubtitleConfig")


@dataclass(frozen=True)
class Listener:
    """A callback for the progress of each stage, given its name and the done fraction, 0 to 1."""

    on_progress: Callable[[str, float], None] = lambda stage, fraction: None


class Launch(dg.ConfigurableResource):
    """The options of one run: the settings, with the options of the launch in their place."""

    settings: dg.ResourceDependency[Settings]
    listener: dg.ResourceDependency[Listener]
    speech: SpeechConfig = SpeechConfig()  # ty: ignore[invalid-type-form]
    subtitles: SubtitleConfig = SubtitleConfig()  # ty: ignore[invalid-type-form]
    output_dir: str | None = Field(None, description="Folder for the subtitles; unset: beside the video")

    def speech_options(self) -> SpeechOptions:
        """Return the options of recognition and alignment.

        Raises:
            ConfigValidationError: values of the launch are not allowed; one line for each field.
        """
        return override(self.settings.speech.options, self.speech.model_dump(), "speech", hint=_HINT)

    def subtitle_options(self) -> SubtitleOptions:
        """Return the options of the subtitles.

        Raises:
            ConfigValidationError: values of the launch are not allowed; one line for each field.
        """
        return override(self.settings.subtitles, self.subtitles.model_dump(), "subtitles", hint=_HINT)


@dataclass(frozen=True)
class Library:
    """The library's roots by name; the first is the one that keys don't name."""

    roots: Mapping[str, Path]

    def key_of(self, path: Path) -> str:
        """Return a video's partition key."""
        return key_of(path, self.roots)

    def path_of(self, key: str) -> Path:
        """Return the video's file by its partition key.

        Raises:
            DiskError: there is no such file, or the key is of no root.
        """
        try:
            path = path_of(key, self.roots)
        except ValueError as error:
            raise DiskError(str(error), "Put the library root back, or delete the partition") from error
        if not path.is_file():
            raise DiskError(f"There is no file {key}", "Put the video back, or delete its partition")
        return path


class SpeechResource(Protocol):
    """The speech models, wherever they run."""

    def check(self, options: SpeechOptions) -> tuple[str, ...]:
        """Return warnings about the options, before anything is loaded.

        Raises:
            ConfigValidationError: they can't work where the models run.
        """
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


def build_resources(
    settings: Settings, speech: SpeechResource | None = None, listener: Listener | None = None
) -> dict[str, Any]:
    """Build every resource; nothing is loaded yet.

    Args:
        settings: All settings of the process.
        speech: The models; by default those that the settings name.
        listener: Called with the progress of each stage.
    """
    return {
        "launch": Launch(settings=settings, listener=listener or Listener()),
        "ledger": open_ledger(settings.home),
        "library": Library(settings.library.roots),
        "speech": speech or choose_speech(settings),
        "storage": Storage(settings.storage.root, settings.home / "tmp"),
    }
