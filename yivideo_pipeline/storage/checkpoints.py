"""Checkpoints of transcripts in the storage: any worker that takes up the work finds them.

    checkpoints/<what decides the transcript>/<random name>.json      one file for each part that is finished

A part is a line with the SHA-256 of what follows, and JSON: what is torn or damaged counts as not done.
A part that can't be kept fails no transcript.
"""

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from yivideo_pipeline.storage.file_store import FileStore

ROOT = "checkpoints"
KEPT_S = 7 * 86_400.0
"""A checkpoint that nobody has added to for so long is removed: its video is gone, or its settings are."""

log = logging.getLogger(__name__)


class StoredCheckpoint:
    """The finished parts of one transcript in a storage (`speech.engine.Checkpoint`).

    Args:
        files: The storage.
        key: All that decides the transcript, as a file name.

    Attributes:
        resumed_s: Seconds of the sound that had been recognized before; 0 where the work began anew.
    """

    def __init__(self, files: FileStore, key: str) -> None:
        self.resumed_s = 0.0
        self._files = files
        self._folder = f"{ROOT}/{key}"
        self._is_used = False
        self._is_refused = False

    @property
    def note(self) -> str:
        """What the log says of it behind the work's time."""
        return f"; {self.resumed_s:.0f} s of the sound had been done before" if self.resumed_s else ""

    def load(self) -> dict[str, Any]:
        """Return all that was kept; what is damaged is left out, and told once."""
        found = self._files.read_folder(self._folder)
        parts = [_read(data) for data in found.values()]
        self._is_used = bool(parts)
        if damaged := parts.count(None):
            log.warning(
                "%s: %s damaged and not used; their part of the transcript is made again",
                self._folder,
                "1 file is" if damaged == 1 else f"{damaged} files are",
            )
        return {name: value for part in parts if part for name, value in part.items()}

    def save(self, entries: Mapping[str, Any]) -> None:
        """Keep more; where the storage refuses it, that is told once and the work goes on without."""
        if self._is_refused:
            return
        body = json.dumps(entries, ensure_ascii=False).encode("utf-8", "surrogateescape")
        try:
            self._files.write(f"{self._folder}/{uuid4().hex}.json", _digest(body) + b"\n" + body)
            self._is_used = True
        except Exception as error:  # noqa: BLE001 - told; every storage has errors of its own
            self._is_refused = True
            log.warning("No checkpoints can be kept in %s: %s", self._files.root, error)

    def note_resumed(self, sound_s: float) -> None:
        """Note how many seconds of the sound had been recognized before."""
        self.resumed_s = sound_s

    def remove(self) -> None:
        """Remove what was kept, now that the transcript is stored, and checkpoints that nobody will need."""
        if self._is_used:
            self._files.remove_folder(self._folder)
            sweep_checkpoints(self._files, time.time() - KEPT_S)


def sweep_checkpoints(files: FileStore, before: float) -> None:
    """Remove the checkpoints whose last part was kept before a time (seconds of the epoch)."""
    for name, changed_at in files.folders(ROOT).items():
        if changed_at < before:
            log.info("Removing the checkpoint %s, which nobody has gone on with", name)
            files.remove_folder(f"{ROOT}/{name}")


def _read(data: bytes) -> dict[str, Any] | None:
    digest, _, body = data.partition(b"\n")
    if digest != _digest(body):
        return None
    value = json.loads(body.decode("utf-8", "surrogateescape"))
    return value if isinstance(value, dict) else None


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode("ascii")
