"""Artifacts: what the stages made, found by the video's content and the stage's key.

    videos/<content hash>/<stage>-<key>/manifest.json       written last: without it there is nothing
                                           <files>
    refs/<hash of the partition key>/<stage>.json           what this partition's stage made last
                                     places.json            the folders that its subtitles were delivered to
    refs/delivered/<hash of the path>.json                  what was delivered to the user, and where

Two videos of the same content share their artifacts, whatever their names are.

What is damaged counts as missing, is named in the log, and is made again: sizes and the document are compared
whenever an artifact is looked up, the content of its files where they are read.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yivideo_pipeline.errors.tree import DiskError
from yivideo_pipeline.storage.file_store import FileStore, Locks
from yivideo_pipeline.storage.remote_paths import AnyPath

SMALL_BYTES = 2**20
"""Files up to this size are read when a result is found: all but the sound, which is read when it is used."""


def canonical_json(value: Any) -> str:
    """Return the one spelling that equal values have: sorted names, no spaces, text as it is.

    Raises:
        TypeError: The value holds something that JSON can't express.
        ValueError: It holds a number that is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def stage_key(
    stage: str, code_version: str, inputs: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> str:
    """Return the key of what a stage makes, from all that decides it: 32 hexadecimal characters.

    Args:
        stage: The stage's name.
        code_version: Changed by hand whenever the stage's code makes a different result.
        inputs: The content hash of each thing that the stage reads. It is the content and not the
            key of the stage before, so that nothing follows from an upstream stage that was made
            again with the same result.
        options: Those that change the result; a batch size or a device does not.
    """
    decides = {"stage": stage, "code": code_version, "inputs": dict(inputs), "options": dict(options or {})}
    return hashlib.sha256(canonical_json(decides).encode("utf-8")).hexdigest()[:32]


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """What one stage made of one video.

    `document` is the result itself (JSON), `files` the SHA-256 of each file that belongs to it, `sizes` their
    bytes. `content` is the SHA-256 of `document` and `files`, and of nothing else. `made_by` is how it was
    made (model, device, seconds), which may differ for the same result.
    """

    video_hash: str
    stage: str
    key: str
    content: str
    document: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    made_at: str = ""
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Its folder under the storage root."""
        return _folder(self.video_hash, self.stage, self.key)


def _log_damage(what: str) -> None:
    log.warning("%s: it counts as missing", what)


class Storage:
    """Artifacts and records of one storage root; the arguments are those of `FileStore`."""

    def __init__(self, root: str | Path, work_dir: Path | None = None, locks: Locks | None = None) -> None:
        self.files = FileStore(root, work_dir, locks)

    def scratch(self) -> AbstractContextManager[Path]:
        """Lend an empty local folder for an artifact's files."""
        return self.files.scratch()

    def has(self, video_hash: str, stage: str, key: str) -> bool:
        """Return whether there is an artifact of a key, be it damaged or not."""
        return self.files.exists(f"{_folder(video_hash, stage, key)}/manifest.json")

    def remove(self, video_hash: str, stage: str, key: str) -> None:
        """Remove the artifact of a key; who needs it makes it again."""
        self.files.remove_folder(_folder(video_hash, stage, key))

    def find(
        self,
        video_hash: str,
        stage: str,
        key: str,
        *,
        read_up_to_bytes: int = 0,
        on_damage: Callable[[str], object] = _log_damage,
    ) -> Artifact | None:
        """Return the artifact of a key; None where there is none, or it is incomplete or damaged.

        Args:
            video_hash: Content hash of the video.
            stage: The stage's name.
            key: As `stage_key` returns it.
            read_up_to_bytes: Files that are no larger are read, and their content is compared too.
            on_damage: Told what is damaged or gone.
        """
        folder = _folder(video_hash, stage, key)
        manifest = self._read_json(f"{folder}/manifest.json")
        if manifest is None and not self.files.exists(f"{folder}/manifest.json"):
            return None
        artifact = _artifact_of(manifest) if manifest else None
        if artifact is None:
            on_damage(f"{folder}/manifest.json is damaged")
            return None
        for name in artifact.files:
            size = self.files.size(f"{folder}/{name}")
            if size is None:
                on_damage(f"{folder}/{name} is gone")
                return None
            is_small = size <= read_up_to_bytes
            if size != artifact.sizes.get(name, size) or (is_small and not self.is_intact(artifact, name)):
                on_damage(f"{folder}/{name} is damaged")
                return None
        return artifact

    def is_intact(self, artifact: Artifact, name: str) -> bool:
        """Return whether one of an artifact's files has the content that was stored; reads all of it."""
        with self.local_copy(artifact, name) as path:
            return is_copy(artifact, name, path)

    def restore(self, artifact: Artifact, name: str, made: Path) -> None:
        """Put a file that was made again in the place of one that is damaged.

        Args:
            artifact: The artifact that has the file.
            name: The file's name in it.
            made: A local file from a `scratch` folder.

        Raises:
            DiskError: It has other content; then nothing of the artifact is found any more.
        """
        if _sha256_of(made) == artifact.files[name]:
            self.files.put(f"{artifact.folder}/{name}", made)
            return
        self.files.write(f"{artifact.folder}/manifest.json", b"")
        raise DiskError(
            f"{artifact.folder}/{name} was damaged, and can't be made again as it was",
            "Process the video again: this stage and those after it are made anew",
        )

    def save(
        self,
        video_hash: str,
        stage: str,
        key: str,
        document: Mapping[str, Any],
        files: Mapping[str, Path] | None = None,
        made_by: Mapping[str, Any] | None = None,
    ) -> Artifact:
        """Store what a stage made; the files are moved, not copied.

        Args:
            video_hash: Content hash of the video.
            stage: The stage's name.
            key: As `stage_key` returns it.
            document: The result, as JSON.
            files: Local files from a `scratch` folder, by the name that they get.
            made_by: How it was made; not part of the content.
        """
        digests = {name: _sha256_of(path) for name, path in (files or {}).items()}
        content = _content_of(document, digests)
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        sizes = {name: path.stat().st_size for name, path in (files or {}).items()}
        artifact = Artifact(
            video_hash, stage, key, content, dict(document), digests, dict(made_by or {}), made_at, sizes
        )
        for name, path in (files or {}).items():
            self.files.put(f"{artifact.folder}/{name}", path)
        self._write_json(f"{artifact.folder}/manifest.json", asdict(artifact))
        return artifact

    def read(self, artifact: Artifact, name: str) -> bytes:
        """Return the bytes of one of an artifact's files.

        Raises:
            FileNotFoundError: It was removed.
            DiskError: It is damaged.
        """
        data = self.files.read(f"{artifact.folder}/{name}")
        if data is None:
            raise FileNotFoundError(f"{artifact.folder}/{name} is gone from {self.files.root}")
        if hashlib.sha256(data).hexdigest() != artifact.files[name]:
            raise DiskError(
                f"{artifact.folder}/{name} is damaged", "Process the video again: it is made anew"
            )
        return data

    def local_copy(self, artifact: Artifact, name: str) -> AbstractContextManager[Path]:
        """Lend one of an artifact's files as a local path, to map into memory or to pass to a library."""
        return self.files.local_copy(f"{artifact.folder}/{name}")

    def record_latest(self, partition_key: str, artifact: Artifact) -> None:
        """Record that this is what the partition's stage made last."""
        made = {"partition_key": partition_key, "video_hash": artifact.video_hash, "key": artifact.key}
        self._note(f"refs/{_name(partition_key)}/{artifact.stage}.json", made)

    def find_latest(self, partition_key: str, stage: str, *, read_up_to_bytes: int = 0) -> Artifact | None:
        """Return what the partition's stage made last, if it is still there; see `find`."""
        made = self._read_json(f"refs/{_name(partition_key)}/{stage}.json")
        if made is None:
            return None
        return self.find(made["video_hash"], stage, made["key"], read_up_to_bytes=read_up_to_bytes)

    def remove_results(self, partition_key: str, contents: Iterable[str]) -> None:
        """Remove what a partition's stages made, and the artifacts of these contents; edits are kept."""
        for video_hash in contents:
            self.files.remove_folder(f"videos/{video_hash}")
        self.files.remove_folder(f"refs/{_name(partition_key)}")

    def record_delivery_folder(self, partition_key: str, folder: str) -> None:
        """Record that the partition's subtitles were delivered to a folder; empty: beside the video."""
        folders = self.delivery_folders(partition_key)
        if folder not in folders:
            record = {"partition_key": partition_key, "folders": [*folders, folder]}
            self._write_json(f"refs/{_name(partition_key)}/places.json", record)

    def delivery_folders(self, partition_key: str) -> list[str]:
        """Return the folders that the partition's subtitles were delivered to; empty: beside the video."""
        record = self._read_json(f"refs/{_name(partition_key)}/places.json")
        return record["folders"] if record else []

    def record_delivery(self, path: AnyPath, content: str, source: str) -> None:
        """Record that we delivered this file: its SHA-256, and the partition that it belongs to."""
        record = {"path": str(path), "content": content, "source": source}
        self._note(f"refs/delivered/{_name(str(path))}.json", record)

    def find_delivery(self, path: AnyPath) -> tuple[str, str] | None:
        """Return (SHA-256, partition) of what we last delivered to this path, or None."""
        record = self._read_json(f"refs/delivered/{_name(str(path))}.json")
        return (record["content"], record["source"]) if record else None

    def _read_json(self, name: str) -> dict[str, Any] | None:
        """Return a record; None where there is none, or it is damaged and can't be read."""
        data = self.files.read(name)
        if data is None:
            return None
        try:
            value = json.loads(data.decode("utf-8", "surrogateescape"))
        except ValueError:
            value = None
        return value if isinstance(value, dict) else None

    def _note(self, name: str, record: Mapping[str, Any]) -> None:
        """Write a record that is not there yet: each write waits for the disk, or for the bucket."""
        if self._read_json(name) != record:
            self._write_json(name, record)

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
        self.files.write(name, _bytes(text))


def is_copy(artifact: Artifact, name: str, path: Path) -> bool:
    """Return whether a local file has the content that was stored as one of an artifact's files."""
    return path.is_file() and _sha256_of(path) == artifact.files[name]


def _artifact_of(manifest: Mapping[str, Any]) -> Artifact | None:
    """Return the artifact of a manifest; None where that is not as it was written."""
    try:
        artifact = Artifact(**manifest)
        content = _content_of(artifact.document, artifact.files)
    except (TypeError, ValueError):
        return None
    return artifact if content == artifact.content else None


def _content_of(document: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    return hashlib.sha256(_bytes(canonical_json([document, digests]))).hexdigest()


def _folder(video_hash: str, stage: str, key: str) -> str:
    return f"videos/{video_hash}/{stage}-{key}"


def _name(text: str) -> str:
    return hashlib.sha256(_bytes(text)).hexdigest()[:32]


def _bytes(text: str) -> bytes:
    # File names may hold bytes that are not UTF-8; Python represents them as surrogate escapes.
    return text.encode("utf-8", "surrogateescape")


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
