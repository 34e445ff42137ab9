"""Artifacts: what the stages made, found by the video's content and the stage's key.

    videos/<content hash>/<stage>-<key>/manifest.json       written last: without it there is nothing
                                           <files>
    refs/<hash of the partition key>/<stage>.json           what this partition's stage made last
                                     places.json            the folders that its subtitles were delivered to
    refs/delivered/<hash of the path>.json                  what was delivered to the user, and where

Two videos of the same content share their artifacts, whatever their names are.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yivideo_pipeline.storage.file_store import FileStore


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

    `document` is the result itself (JSON), `files` the SHA-256 of each file that belongs to it.
    `content` is the SHA-256 of both, and of nothing else. `made_by` is how it was made (model, device,
    seconds), which may differ for the same result.
    """

    video_hash: str
    stage: str
    key: str
    content: str
    document: dict[str, Any]
    files: dict[str, str] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    made_at: str = ""

    @property
    def folder(self) -> str:
        """Its folder under the storage root."""
        return _folder(self.video_hash, self.stage, self.key)


class Storage:
    """Artifacts and records of one storage root."""

    def __init__(self, root: str | Path, work_dir: Path | None = None) -> None:
        self.files = FileStore(root, work_dir)

    def scratch(self) -> AbstractContextManager[Path]:
        """Lend an empty local folder for an artifact's files."""
        return self.files.scratch()

    def find(self, video_hash: str, stage: str, key: str) -> Artifact | None:
        """Return the complete artifact of a key, None where there is none."""
        folder = _folder(video_hash, stage, key)
        manifest = self._read_json(f"{folder}/manifest.json")
        if manifest is None:
            return None
        missing = [name for name in manifest["files"] if not self.files.exists(f"{folder}/{name}")]
        if missing:
            log.warning("%s lacks %s: it is made again", folder, ", ".join(missing))
            return None
        return Artifact(**manifest)

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
        content = hashlib.sha256(_bytes(canonical_json([document, digests]))).hexdigest()
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        artifact = Artifact(
            video_hash, stage, key, content, dict(document), digests, dict(made_by or {}), made_at
        )
        for name, path in (files or {}).items():
            self.files.put(f"{artifact.folder}/{name}", path)
        self._write_json(f"{artifact.folder}/manifest.json", asdict(artifact))
        return artifact

    def read(self, artifact: Artifact, name: str) -> bytes:
        """Return the bytes of one of an artifact's files.

        Raises:
            FileNotFoundError: It was removed.
        """
        data = self.files.read(f"{artifact.folder}/{name}")
        if data is None:
            raise FileNotFoundError(f"{artifact.folder}/{name} is gone from {self.files.root}")
        return data

    def local_copy(self, artifact: Artifact, name: str) -> AbstractContextManager[Path]:
        """Lend one of an artifact's files as a local path, to map into memory or to pass to a library."""
        return self.files.local_copy(f"{artifact.folder}/{name}")

    def record_latest(self, partition_key: str, artifact: Artifact) -> None:
        """Record that this is what the partition's stage made last."""
        made = {"partition_key": partition_key, "video_hash": artifact.video_hash, "key": artifact.key}
        self._write_json(f"refs/{_name(partition_key)}/{artifact.stage}.json", made)

    def find_latest(self, partition_key: str, stage: str) -> Artifact | None:
        """Return what the partition's stage made last, if it is still there."""
        made = self._read_json(f"refs/{_name(partition_key)}/{stage}.json")
        return self.find(made["video_hash"], stage, made["key"]) if made else None

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

    def record_delivery(self, path: Path, content: str, source: str) -> None:
        """Record that we delivered this file: its SHA-256, and the partition that it belongs to."""
        record = {"path": str(path), "content": content, "source": source}
        self._write_json(f"refs/delivered/{_name(str(path))}.json", record)

    def find_delivery(self, path: Path) -> tuple[str, str] | None:
        """Return (SHA-256, partition) of what we last delivered to this path, or None."""
        record = self._read_json(f"refs/delivered/{_name(str(path))}.json")
        return (record["content"], record["source"]) if record else None

    def _read_json(self, name: str) -> dict[str, Any] | None:
        data = self.files.read(name)
        return None if data is None else json.loads(data.decode("utf-8", "surrogateescape"))

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
        self.files.write(name, _bytes(text))


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
