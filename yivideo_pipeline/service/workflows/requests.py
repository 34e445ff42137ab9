"""What a workflow is asked by, and what of it is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.models import Models
from yivideo_pipeline.service.workflows.chain import problems_of, stages_of
from yivideo_pipeline.service.workflows.places import check_folder
from yivideo_pipeline.settings.messages import explain
from yivideo_pipeline.settings.options import SpeechOptions, SubtitleFormat, SubtitleOptions

OptionsT = TypeVar("OptionsT", SpeechOptions, SubtitleOptions)

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
    speech = _speech_options(settings.speech, output.whisperx_config, lines)
    subtitles = _options(settings.subtitles, SubtitleOptions, output.subtitles, "subtitles", lines)
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
        options = _options(settings, SpeechOptions, given, "whisperx_config", lines)
        names_folder = bool(options) and Path(options.model_name).is_absolute()
    if names_folder and name not in (None, settings.model_name):
        lines.append(
            "output_params.whisperx_config.model_name: folders of models are named in the settings alone:"
            " choose a known name or a hub id (owner/name)"
        )
    return options


def _options(
    settings: BaseModel, model: type[OptionsT], given: Mapping[str, Any], section: str, lines: list[str]
) -> OptionsT | None:
    """Put what is given in place of the settings; what is wrong becomes lines, and there is no result."""
    known = {name: getattr(settings, name) for name in model.model_fields}
    try:
        return model.model_validate({**known, **given})
    except ValidationError as error:
        lines += explain(error, model, lambda path: ".".join(("output_params", section, *path)))
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
