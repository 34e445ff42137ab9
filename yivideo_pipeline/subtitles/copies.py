"""Delivers a copy of the video that has the subtitles as a track, never over a file that is not ours.

A copy is ours if size and time are those that it had when we wrote it: to hash gigabytes would take longer
than to write them. One of the same subtitles is left as it is.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path

from yivideo_pipeline.errors.tree import MediaError
from yivideo_pipeline.settings.subtitle_options import MuxContainer, SubtitleFormat
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.edits import EditedCue
from yivideo_pipeline.storage.remote_paths import AnyPath
from yivideo_pipeline.storage.sidecars import DeliveredFile
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.writers import render


def deliver_copy(
    storage: Storage,
    subtitles: Artifact,
    transcript: Transcript,
    edited: Sequence[EditedCue] | None,
    partition_key: str,
    video: AnyPath,
    folder: AnyPath,
    container: MuxContainer,
) -> DeliveredFile | str:
    """Write the copy under the first name that is free or ours; return it, or why there is none.

    Args:
        storage: Holds the record of what was delivered.
        subtitles: The artifact of the subtitles stage.
        transcript: The transcript.
        edited: The cues that replace the machine's, if any do.
        partition_key: The video's partition key; it owns the copy.
        video: The video.
        folder: Where the copy goes.
        container: `mkv` or `mp4`.

    Raises:
        OSError: It can't be written.
    """
    from yivideo_pipeline.media.mux import mux_subtitles

    if not (isinstance(video, Path) and isinstance(folder, Path)):
        return "No copy with subtitles was made: the video or the folder is in a bucket"
    srt = _srt_of(subtitles, transcript, edited)
    content = hashlib.sha256(f"{subtitles.video_hash} {subtitles.document['language']} {srt}".encode())
    for path in _paths(video, folder, container):
        state, _, made_of = (storage.find_delivery(path) or ("", ""))[0].rpartition(" ")
        if path.exists() and state != _state_of(path, partition_key):
            continue
        if path.exists() and made_of == content.hexdigest():
            return DeliveredFile(path)
        try:
            mux_subtitles(video, srt.encode(), path, container, subtitles.document["language"])
        except MediaError as error:
            return f"No copy with subtitles was made: {error}"
        record = f"{_state_of(path, partition_key)} {content.hexdigest()}"
        storage.record_delivery(path, record, partition_key)
        return DeliveredFile(path)
    raise AssertionError("there is always another name")


def _srt_of(subtitles: Artifact, transcript: Transcript, edited: Sequence[EditedCue] | None) -> str:
    texts = [EditedCue(*cue) for cue in subtitles.document["cues"]] if edited is None else edited
    cues = [Cue(cue.start_ms, cue.end_ms, tuple(cue.text.split("\n")), ()) for cue in texts]
    return render(cues, transcript, SubtitleFormat.SRT)


def _paths(video: Path, folder: Path, container: MuxContainer) -> Iterator[Path]:
    """Yield the names that a copy may have; all end as `sidecars.COPY_ENDINGS` has it."""
    for name in chain((video.stem, video.name), (f"{video.stem}.{number}" for number in count(2))):
        yield (folder / f"{name}.yivideo.{container}").absolute()


def _state_of(path: Path, partition_key: str) -> str:
    found = path.stat()
    owner = hashlib.sha256(partition_key.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{owner} {found.st_size} {found.st_mtime_ns}"
