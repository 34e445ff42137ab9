"""The subtitles that a workflow made: its own, even if its video was processed again since."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.workflows.runs import WorkflowRun
from yivideo_pipeline.settings.options import SubtitleFormat
from yivideo_pipeline.stages import LAST_STAGE
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.partition_keys import decode_key


def formats_of(storage: Storage, runs: Sequence[WorkflowRun]) -> list[str]:
    """Return the formats in which the subtitles exist."""
    artifact = _find_artifact(storage, runs)
    return [PurePosixPath(name).suffix[1:] for name in artifact.files] if artifact else []


def read_subtitles(
    storage: Storage, runs: Sequence[WorkflowRun], format: SubtitleFormat
) -> tuple[str, bytes]:
    """Return a file name for the subtitles, and their content.

    Raises:
        Refused: 404 where they do not exist yet or in this format, or were removed.
    """
    artifact = _find_artifact(storage, runs)
    if artifact is None:
        raise Refused(404, "not_found", "There are no subtitles of this workflow", "See its status")
    name = f"subtitles.{format}"
    if name not in artifact.files:
        hint = "Ask for it in output_params.subtitles.formats"
        raise Refused(404, "not_found", f"The subtitles were not made as {format}", hint)
    stem = PurePosixPath(decode_key(runs[0].video)).stem.encode("utf-8", "replace").decode()
    return f"{stem}.{artifact.document['language']}.{format}", storage.read(artifact, name)


def _find_artifact(storage: Storage, runs: Sequence[WorkflowRun]) -> Artifact | None:
    folders = [
        step.artifact for run in runs for step in run.steps if step.stage == LAST_STAGE and step.artifact
    ]
    if not folders:
        return None
    _, video_hash, stage = PurePosixPath(folders[-1]).parts
    name, _, key = stage.partition("-")
    return storage.find(video_hash, name, key)
