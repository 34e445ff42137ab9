"""Handing subtitles over to the person: the version edited by hand where there is one, else the machine's.

Runs and the review page hand over by the same function. So a run never puts the machine's words where a
person corrected them; it delivers the corrected ones, also in a format or to a folder that is asked for
only later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yivideo_pipeline.settings.options import SubtitleFormat
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.edits import Edit, Edits
from yivideo_pipeline.storage.sidecars import DeliveredFile, deliver_file
from yivideo_pipeline.subtitles.edited import as_transcript, time_cues
from yivideo_pipeline.subtitles.writers import render


@dataclass(frozen=True)
class Handover:
    """The files as the person finds them, and the edited version that stands in them, if any."""

    files: tuple[DeliveredFile, ...]
    edit: Edit | None


def title_of(video: Path) -> str:
    """Return the title of a video: its name, as text that every format can hold."""
    name = video.stem.encode("utf-8", "replace").decode("utf-8")
    return "".join(char if char.isprintable() else " " for char in name)


def hand_over(
    storage: Storage,
    subtitles: Artifact,
    heard: Transcript,
    partition_key: str,
    video: Path,
    output_dir: str | None = None,
) -> Handover:
    """Write every format of a video's subtitles beside it or into a folder.

    Args:
        storage: Keeps the edited versions, and the record of what was delivered.
        subtitles: What the subtitles stage made; it keeps the machine's version.
        heard: The transcript that it was made of.
        partition_key: The video's.
        video: The video's file.
        output_dir: Folder to write to; without it the video's own.

    Raises:
        DiskError: the folder can't be made or written to.
    """
    folder = Path(output_dir).expanduser().absolute() if output_dir else None
    language = subtitles.document["language"]
    edits = Edits(storage)
    with edits.lock(subtitles.video_hash):
        edit = edits.active(subtitles.video_hash, language)
        data = _edited_files(subtitles, edit, heard, video) if edit else _machine_files(storage, subtitles)
        files = tuple(
            deliver_file(storage, partition_key, video, f".{language}.{kind}", content, folder)
            for kind, content in data.items()
        )
        storage.record_delivery_folder(partition_key, str(folder) if folder else "")
    return Handover(files, edit)


def _machine_files(storage: Storage, subtitles: Artifact) -> Mapping[str, bytes]:
    return {_format_of(name): storage.read(subtitles, name) for name in subtitles.files}


def _edited_files(subtitles: Artifact, edit: Edit, heard: Transcript, video: Path) -> Mapping[str, bytes]:
    cues = time_cues(edit.cues or (), heard)
    said = as_transcript(cues, heard)
    kinds = [_format_of(name) for name in subtitles.files]
    return {kind: render(cues, said, SubtitleFormat(kind), title_of(video)).encode() for kind in kinds}


def _format_of(name: str) -> str:
    return Path(name).suffix.removeprefix(".")
