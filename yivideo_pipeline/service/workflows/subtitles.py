"""The subtitles that a workflow made: its own, whatever was made of the video since."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.workflows.runs import Run
from yivideo_pipeline.settings.options import SubtitleFormat
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.partition_keys import decode_key

MEDIA_TYPES = {
    SubtitleFormat.SRT: "application/x-subrip",
    SubtitleFormat.VTT: "text/vtt",
    SubtitleFormat.ASS: "text/x-ssa",
    SubtitleFormat.TTML: "application/ttml+xml",
    SubtitleFormat.JSON: "application/json",
    SubtitleFormat.TXT: "text/plain",
}
SUBTITLE_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}}
}
"""A route's answer, for the API's description."""


def formats_of(storage: Storage, runs: Sequence[Run]) -> list[str]:
    """Return the formats that can be fetched."""
    artifact = _made_by(storage, runs)
    return [PurePosixPath(name).suffix[1:] for name in artifact.files] if artifact else []


def read_subtitles(storage: Storage, runs: Sequence[Run], kind: SubtitleFormat) -> tuple[str, bytes]:
    """Return the name for a file of subtitles, and its content.

    Raises:
        Refused: 404 where they are not made, not in this format, or were removed.
    """
    artifact = _made_by(storage, runs)
    if artifact is None:
        raise Refused(404, "not_found", "There are no subtitles of this workflow", "See its status")
    name = f"subtitles.{kind}"
    if name not in artifact.files:
        hint = "Ask for it in output_params.subtitles.formats"
        raise Refused(404, "not_found", f"The subtitles were not made as {kind}", hint)
    stem = PurePosixPath(decode_key(runs[0].video)).stem.encode("utf-8", "replace").decode()
    return f"{stem}.{artifact.document['language']}.{kind}", storage.read(artifact, name)


def _made_by(storage: Storage, runs: Sequence[Run]) -> Artifact | None:
    folders = [step.artifact for run in runs for step in run.steps if step.stage == "subtitles"]
    made = [folder for folder in folders if folder]
    if not made:
        return None
    _, video_hash, stage = PurePosixPath(made[-1]).parts
    name, _, key = stage.partition("-")
    return storage.find(video_hash, name, key)
