"""Delivers subtitles to the user: the edited version where there is one, otherwise the generated one.

Runs and the review page deliver by the same function. So a run never overwrites what the user corrected; it
delivers the corrected version, also in a format or to a folder that is asked for only later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from yivideo_pipeline.settings.subtitle_options import MuxContainer, SubtitleFormat
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.edits import Edit, Edits
from yivideo_pipeline.storage.remote_paths import AnyPath, to_path
from yivideo_pipeline.storage.sidecars import DeliveredFile, deliver_file
from yivideo_pipeline.subtitles.copies import deliver_copy
from yivideo_pipeline.subtitles.edited import as_transcript, time_cues
from yivideo_pipeline.subtitles.writers import render


@dataclass(frozen=True)
class DeliveredSubtitles:
    """The files that were delivered, and the edited version in them, if any."""

    files: tuple[DeliveredFile, ...]
    edit: Edit | None


def title_of(video: AnyPath) -> str:
    """Return the title of a video: its name, as text that every format can hold."""
    name = video.stem.encode("utf-8", "replace").decode("utf-8")
    return "".join(char if char.isprintable() else " " for char in name)


def deliver_subtitles(
    storage: Storage,
    subtitles: Artifact,
    transcript: Transcript,
    partition_key: str,
    video: AnyPath,
    output_dir: str | None = None,
    write_empty: bool = False,
    mux: MuxContainer = MuxContainer.NONE,
) -> DeliveredSubtitles:
    """Write every format of a video's subtitles beside the video or into a folder.

    Args:
        storage: Keeps the edited versions, and the record of what was delivered.
        subtitles: The artifact of the subtitles stage; it holds the generated version.
        transcript: The transcript that the subtitles were made of.
        partition_key: The video's partition key.
        video: The video's file or object.
        output_dir: Folder or URL to write to; by default the video's own.
        write_empty: Whether subtitles without cues are written too.
        mux: The container of a copy of the video with the subtitles as a track.

    Raises:
        DiskError: The folder can't be created or written to.
    """
    folder = to_path(output_dir) if output_dir else None
    if isinstance(folder, Path):
        folder = folder.expanduser().absolute()
    language = subtitles.document["language"]
    edits = Edits(storage)
    with edits.lock(subtitles.video_hash):
        edit = edits.active(subtitles.video_hash, language)
        data: Mapping[str, bytes] = {}
        if edit:
            data = _edited_files(subtitles, edit, transcript, video)
        elif subtitles.document["quality"]["cues"] or write_empty:
            data = _generated_files(storage, subtitles)
        files = tuple(
            deliver_file(storage, partition_key, video, f".{language}.{ending}", content, folder)
            for ending, content in data.items()
        )
        storage.record_delivery_folder(partition_key, str(folder) if folder else "")
    if mux is not MuxContainer.NONE and files:
        copy = deliver_copy(
            storage,
            subtitles,
            transcript,
            edit.cues if edit else None,
            partition_key,
            video,
            folder or video.parent,
            mux,
        )
        if isinstance(copy, str):
            files = (*files[:-1], replace(files[-1], warnings=(*files[-1].warnings, copy)))
        else:
            files = (*files, copy)
    return DeliveredSubtitles(files, edit)


def _generated_files(storage: Storage, subtitles: Artifact) -> Mapping[str, bytes]:
    return {_format_of(name).ending: storage.read(subtitles, name) for name in subtitles.files}


def _edited_files(
    subtitles: Artifact, edit: Edit, transcript: Transcript, video: AnyPath
) -> Mapping[str, bytes]:
    cues = time_cues(edit.cues or (), transcript)
    edited = as_transcript(cues, transcript)
    kinds = [_format_of(name) for name in subtitles.files]
    return {kind.ending: render(cues, edited, kind, title_of(video)).encode() for kind in kinds}


def _format_of(name: str) -> SubtitleFormat:
    return SubtitleFormat(Path(name).suffix.removeprefix("."))
