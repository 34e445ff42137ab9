"""Requests for workflows: their models, the steps that they name, and the launch that a valid one plans."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.service.allowed_paths import require_output_folder
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.settings.messages import did_you_mean
from yivideo_pipeline.settings.options import OptionsT, SpeechOptions, differences, name_for_launch, override
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.stages import LAST_STAGE, STAGES, stages_before
from yivideo_pipeline.storage.remote_paths import AnyPath

STEPS = {
    "ffmpeg.extract_audio": ("video", "audio"),
    "whisperx.generate_subtitles": ("transcript", "alignment", "subtitles"),
    **{f"yivideo.{stage}": (stage,) for stage in STAGES},
}
"""The stages of each step that `workflow_chain` may name: those of the old service, then one per stage."""

_EXAMPLE: JsonDict = {
    "video_path": "/app/videos/223.mp4",
    "workflow_config": {"workflow_chain": ["ffmpeg.extract_audio", "whisperx.generate_subtitles"]},
    "output_params": {"whisperx_config": {"language": "zh", "model_name": "large-v2"}},
}


class WorkflowConfig(BaseModel):
    """What to make."""

    model_config = ConfigDict(extra="forbid")

    workflow_chain: list[str] = Field(min_length=1, max_length=20, description="Steps, by name")


class OutputParams(BaseModel):
    """How to make it, where that differs from the settings."""

    model_config = ConfigDict(extra="forbid")

    whisperx_config: dict[str, Any] = Field({}, description="Settings of `speech`, by their names")
    subtitles: dict[str, Any] = Field({}, description="Settings of `subtitles`, by their names")
    output_dir: str | None = Field(
        None, max_length=4096, description="Folder or s3://… for the subtitles; by default that of the video"
    )


class WorkflowRequest(BaseModel):
    """One video, and what to make of it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    video_path: str = Field(
        min_length=1, max_length=4096, description="Path or s3://… of the video, or its partition key"
    )
    workflow_config: WorkflowConfig
    output_params: OutputParams = OutputParams()
    callback_url: str | None = Field(
        None,
        max_length=2048,
        description="Receives the status when the workflow ends; its host is one of service.callback_hosts",
    )


@dataclass(frozen=True)
class LaunchPlan:
    """The launch that a valid request plans, whichever video it names.

    Attributes:
        stages: The stages to make, in their order.
        run_config: The configuration of Dagster's run.
        formats: The subtitle formats that the run will write.
        warnings: Options that work, but are unusual.
    """

    stages: tuple[str, ...]
    run_config: dict[str, Any]
    formats: tuple[SubtitleFormat, ...]
    warnings: tuple[str, ...]

    @property
    def delivers_beside_video(self) -> bool:
        """Whether the run makes subtitles where the library has them."""
        launch = self.run_config["resources"]["launch"]["config"]
        return LAST_STAGE in self.stages and "output_dir" not in launch


def plan_launch(
    request: WorkflowRequest,
    speech: SpeechOptions,
    subtitles: SubtitleOptions,
    allowed_folders: Sequence[AnyPath],
    check_speech: Callable[[SpeechOptions], tuple[str, ...]],
) -> LaunchPlan:
    """Validate all of a request but its video, as far as that is possible before a model is loaded.

    Args:
        request: The request.
        speech: The speech options of the settings.
        subtitles: The subtitle options of the settings.
        allowed_folders: The folders that the request may name.
        check_speech: Returns warnings about speech options on this machine; raises `ConfigValidationError`.

    Raises:
        Refused: 422 with a line for each thing that is wrong; 403 for a folder.
    """
    chain, output = request.workflow_config.workflow_chain, request.output_params
    lines = [f"workflow_config.workflow_chain: {line}" for line in _unknown_steps(chain)]
    chosen_speech = _speech_options(speech, output.whisperx_config, lines)
    chosen_subtitles = _options(subtitles, output.subtitles, "subtitles", lines)
    warnings = _check(check_speech, chosen_speech, lines) if chosen_speech else ()
    if lines or not chosen_subtitles or not chosen_speech:
        raise Refused(422, "config_validation", "\n".join(lines), "Change these values of the request")
    launch: dict[str, Any] = {
        "speech": name_for_launch(_to_launch_config(chosen_speech, speech, output.whisperx_config)),
        "subtitles": _to_launch_config(chosen_subtitles, subtitles, output.subtitles),
    }
    if output.output_dir is not None:
        require_output_folder(output.output_dir, allowed_folders)
        launch["output_dir"] = output.output_dir
    stages = stages_of(chain)
    return LaunchPlan(
        stages,
        {"resources": {"launch": {"config": launch}}},
        chosen_subtitles.formats if LAST_STAGE in stages else (),
        warnings,
    )


def stages_of(chain: Sequence[str]) -> tuple[str, ...]:
    """Return the stages that a chain of known steps needs, with all that come before them.

    An earlier stage that was made before is found and costs nothing; where it was not, the later stages
    could not be made without it.
    """
    return max(((*stages_before(stage), stage) for step in chain for stage in STEPS[step]), key=len)


def _unknown_steps(chain: Sequence[str]) -> Iterator[str]:
    for step in chain:
        if step not in STEPS:
            yield f"{step!r} is not a known step{did_you_mean(step, STEPS)}: choose one of {', '.join(STEPS)}"


def _speech_options(base: SpeechOptions, given: Mapping[str, Any], lines: list[str]) -> SpeechOptions | None:
    name = given.get("model_name")
    # Validation looks a folder up on the disk, so a client could find out which folders exist.
    names_folder = isinstance(name, str) and name.strip().startswith(("/", ".", "~"))
    options = None
    if not names_folder:
        # An explicit null means "detect the language", whatever the settings say.
        detects = "language" in given and given["language"] is None
        values = {**given, "language": "auto"} if detects else given
        options = _options(base, values, "whisperx_config", lines)
        names_folder = bool(options) and Path(options.model_name).is_absolute()
    if names_folder and name not in (None, base.model_name):
        lines.append(
            "output_params.whisperx_config.model_name: folders of models are named in the settings alone:"
            " choose a known name or a hub id (owner/name)"
        )
    return options


def _options(base: OptionsT, given: Mapping[str, Any], section: str, lines: list[str]) -> OptionsT | None:
    """Return the options with the given values; None where these are wrong, which adds to the lines."""
    try:
        return override(base, given, f"output_params.{section}")
    except ConfigValidationError as error:
        lines += error.message.splitlines()
        return None


def _check(
    check_speech: Callable[[SpeechOptions], tuple[str, ...]], speech: SpeechOptions, lines: list[str]
) -> tuple[str, ...]:
    """Return warnings about the options on this machine; what can't work here adds to the lines."""
    try:
        return check_speech(speech)
    except ConfigValidationError as error:
        lines += [f"output_params.whisperx_config.{line}" for line in error.message.splitlines()]
        return ()


def _to_launch_config(options: BaseModel, base: BaseModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given options, and what follows from them, as the run's configuration has them."""
    return differences(options, base) | options.model_dump(mode="json", include=set(given))
