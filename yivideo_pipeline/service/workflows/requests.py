"""What a workflow is asked by, and what of it is wrong."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.media_input import allowed_roots, resolve_allowed
from yivideo_pipeline.service.models import Models
from yivideo_pipeline.settings.messages import did_you_mean
from yivideo_pipeline.settings.options import (
    OptionsT,
    SpeechOptions,
    SubtitleFormat,
    override,
)
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.stages import STAGES, stages_before
from yivideo_pipeline.storage.partition_keys import key_of, path_of

# PART service/workflows/chain.py: The names that a workflow chain is made of, and the stages that they stand for.

CHAIN = {
    "ffmpeg.extract_audio": ("video", "audio"),
    "whisperx.generate_subtitles": ("transcript", "alignment", "subtitles"),
    **{f"yivideo.{stage}": (stage,) for stage in STAGES},
}
"""What each name stands for: first those of the old service, then one for each stage."""


def stages_of(chain: Sequence[str]) -> tuple[str, ...]:
    """Return the stages that a chain of known names needs.

    What lies before a stage is always among them: where it was made before, it is found and costs nothing,
    and where it was not, the stage could not be made without it.
    """
    return max(((*stages_before(stage), stage) for name in chain for stage in CHAIN[name]), key=len)


def problems_of(chain: Sequence[str]) -> Iterator[str]:
    """Say which names of a chain are not known."""
    for name in chain:
        if name not in CHAIN:
            yield f"{name!r} is no known step{did_you_mean(name, CHAIN)}: choose of {', '.join(CHAIN)}"


# PART service/workflows/places.py: The video that a request names, by its path or its partition key, and the folder for its subtitles.


def find_video(name: str, settings: Settings) -> str:
    """Return the partition key of the video that a request names.

    Args:
        name: The file's absolute path, or its partition key.
        settings: Say which folders are allowed.

    Raises:
        Refused: 403 where it lies outside of the allowed folders, 404 where there is no such file, 422 where
            the name can't be one.
    """
    roots = settings.library.roots
    if not name.startswith("/"):
        try:
            path = path_of(name, roots)
        except ValueError as error:
            hint = "Give the whole path of the file, or its partition key"
            raise Refused(422, "invalid_request", f"video_path: {error}", hint) from error
        resolve_allowed(str(path), settings)
        return name
    # Without `..` before links are followed: what is looked at here is what the run opens later.
    path = Path(os.path.abspath(name))  # noqa: PTH100 - Path.resolve would follow links
    real = resolve_allowed(str(path), settings)
    key = key_of(path, roots)
    # A library may be named by a path with links in it: the same video shall have one key.
    return key_of(real, {name: root.resolve() for name, root in roots.items()}) if key[0] == "/" else key


def key_named(name: str, settings: Settings) -> str:
    """Return the partition key that a name would have, without a look at the disk."""
    try:
        return key_of(Path(name), settings.library.roots) if name.startswith("/") else name
    except ValueError:
        return name  # a root: no video is called so


def check_folder(name: str, settings: Settings) -> None:
    """Let subtitles be written to an allowed folder alone; it need not be there yet.

    Raises:
        Refused: 403 where it lies outside, 422 where it is no absolute path.
    """
    if "\0" in name or not Path(name).is_absolute():
        raise Refused(
            422, "invalid_request", "output_params.output_dir: it is not absolute", "Give a whole path"
        )
    try:
        real = Path(os.path.abspath(name)).resolve()  # noqa: PTH100 - as the run reads it
    except (OSError, RuntimeError):  # a name that is too long, links in a ring
        real = None
    if real is None or not any(real.is_relative_to(root.resolve()) for root in allowed_roots(settings)):
        raise Refused(
            403,
            "path_not_allowed",
            "output_params.output_dir lies outside the allowed folders",
            "Choose one under a library root, or add it to service.roots",
        )



_EXAMPLE: JsonDict = {
    "video_path": "/app/videos/223.mp4",
    "workflow_config": {"workflow_chain": ["ffmpeg.extract_audio", "whisperx.generate_subtitles"]},
    "output_params": {"whisperx_config": {"language": "zh", "model_name": "large-v2"}},
}


class WorkflowConfig(BaseModel):
    """What is to be made."""

    model_config = ConfigDict(extra="forbid")

    workflow_chain: list[str] = Field(min_length=1, max_length=20, description="Steps, by name")


class OutputParams(BaseModel):
    """How it is made, where that differs from the settings."""

    model_config = ConfigDict(extra="forbid")

    whisperx_config: dict[str, Any] = Field({}, description="Settings of `speech`, by their names")
    subtitles: dict[str, Any] = Field({}, description="Settings of `subtitles`, by their names")
    output_dir: str | None = Field(
        None, max_length=4096, description="Folder for the subtitles; by default they lie beside the video"
    )


class WorkflowRequest(BaseModel):
    """One video, and what is to be made of it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    video_path: str = Field(
        min_length=1, max_length=4096, description="Absolute path of the video, or its partition key"
    )
    workflow_config: WorkflowConfig
    output_params: OutputParams = OutputParams()
    callback_url: str | None = Field(
        None, max_length=2048, description="Is told how it ended; of a host of service.callback_hosts"
    )


@dataclass(frozen=True)
class Plan:
    """What a valid request comes to, whichever video it names.

    Attributes:
        stages: What is made, in its order.
        run_config: Of Dagster's run.
        formats: Subtitle formats that will be there.
        warnings: What is odd about the options, but works.
    """

    stages: tuple[str, ...]
    run_config: dict[str, Any]
    formats: tuple[SubtitleFormat, ...]
    warnings: tuple[str, ...]


def plan(request: WorkflowRequest, models: Models) -> Plan:
    """Check all of a request, but for its video, that can be checked before a model is loaded.

    Raises:
        Refused: 422 with a line for each thing that is wrong; 403 for a folder.
    """
    settings, output = models.settings, request.output_params
    chain = request.workflow_config.workflow_chain
    lines = [f"workflow_config.workflow_chain: {line}" for line in problems_of(chain)]
    speech = _speech_options(settings.speech.options, output.whisperx_config, lines)
    subtitles = _options(settings.subtitles, output.subtitles, "subtitles", lines)
    warnings = _check(models, speech, lines) if speech else ()
    if lines or not subtitles or not speech:
        raise Refused(422, "config_validation", "\n".join(lines), "Change these values of the request")
    launch: dict[str, Any] = {
        "speech": _given(speech, output.whisperx_config),
        "subtitles": _given(subtitles, output.subtitles),
    }
    if output.output_dir is not None:
        check_folder(output.output_dir, settings)
        launch["output_dir"] = output.output_dir
    stages = stages_of(chain)
    return Plan(
        stages,
        {"resources": {"launch": {"config": launch}}},
        subtitles.formats if "subtitles" in stages else (),
        warnings,
    )


def _speech_options(
    settings: SpeechOptions, given: Mapping[str, Any], lines: list[str]
) -> SpeechOptions | None:
    name = given.get("model_name")
    # What a name stands for is looked up on the disk: nobody shall find out by it which folders there are.
    names_folder = isinstance(name, str) and name.strip().startswith(("/", ".", "~"))
    options = None
    if not names_folder:
        detects = "language" in given and given["language"] is None  # null: detect, whatever the settings say
        values = {**given, "language": "auto"} if detects else given
        options = _options(settings, values, "whisperx_config", lines)
        names_folder = bool(options) and Path(options.model_name).is_absolute()
    if names_folder and name not in (None, settings.model_name):
        lines.append(
            "output_params.whisperx_config.model_name: folders of models are named in the settings alone:"
            " choose a known name or a hub id (owner/name)"
        )
    return options


def _options(
    settings: OptionsT, given: Mapping[str, Any], section: str, lines: list[str]
) -> OptionsT | None:
    """Return the settings with the given values in their place; None, and what is wrong as lines."""
    try:
        return override(settings, given, f"output_params.{section}")
    except ConfigValidationError as error:
        lines += error.message.splitlines()
        return None


def _check(models: Models, speech: SpeechOptions, lines: list[str]) -> tuple[str, ...]:
    """Hold the options against this machine; returns warnings."""
    try:
        return models.local.check(speech)
    except ConfigValidationError as error:
        lines += [f"output_params.whisperx_config.{line}" for line in error.message.splitlines()]
        return ()


def _given(options: BaseModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the launch changes of the settings, as the launchpad writes it."""
    return options.model_dump(mode="json", include=set(given))
