"""Subtitles edited by the user, kept apart from what the stages make: no run ever writes here.

    edits/<content hash>/<language>/<version>.json          every version, as it was saved
                                    current.json            the latest of them

They belong to the video's content, as artifacts do, and to the language of the text. Going back to the
machine's subtitles is a version too: one without cues. So nothing that the user typed is ever lost.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count, takewhile
from typing import NamedTuple

from yivideo_pipeline.storage.artifacts import Storage

log = logging.getLogger(__name__)


class EditedCue(NamedTuple):
    """One cue as the user edits it: when it is shown, in milliseconds, and its lines."""

    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class Edit:
    """One saved version.

    `cues` are None where the user went back to the machine's. `by` is the address that saved it,
    `based_on` the content of the machine's subtitles at that time.
    """

    version: int
    saved_at: str
    by: str
    based_on: str
    cues: tuple[EditedCue, ...] | None


class EditConflict(Exception):
    """Another version was saved in between; `current` is the latest."""

    def __init__(self, current: Edit | None) -> None:
        super().__init__("Another version was saved in between")
        self.current = current


class Edits:
    """The edited subtitles of one storage root."""

    def __init__(self, storage: Storage) -> None:
        self._files = storage.files

    def lock(self, video_hash: str) -> AbstractContextManager[object]:
        """Lock a video's versions against all other users of the storage, while files are made of them."""
        # Lock files stay: 256 of them, not one for each video.
        return self._files.lock(f"edits-{video_hash[:2]}")

    def latest(self, video_hash: str, language: str) -> Edit | None:
        """Return the version saved last, even if it went back to the machine's; None without any."""
        folder = _folder(video_hash, language)
        return self._read(f"{folder}/current.json") or self._last_of(folder)

    def active(self, video_hash: str, language: str) -> Edit | None:
        """Return the version that replaces the machine's; None where the machine's is used."""
        edit = self.latest(video_hash, language)
        return edit if edit and edit.cues is not None else None

    def all(self, video_hash: str, language: str) -> list[Edit]:
        """Return all versions that can be read, the oldest first."""
        return list(self._versions(_folder(video_hash, language)))

    def find(self, video_hash: str, language: str, version: int) -> Edit | None:
        """Return one of the versions."""
        return self._read(f"{_folder(video_hash, language)}/{version}.json")

    def save(
        self,
        video_hash: str,
        language: str,
        cues: Iterable[EditedCue] | None,
        *,
        over: int,
        by: str = "",
        based_on: str = "",
    ) -> Edit:
        """Save a new version.

        Args:
            video_hash: Content hash of the video.
            language: Of the text.
            cues: In order; None goes back to the machine's.
            over: The version that the user edited; 0 where there was none.
            by: The address that saves it.
            based_on: Content of the machine's subtitles.

        Raises:
            EditConflict: Another version has been saved since; nothing was saved.
        """
        folder = _folder(video_hash, language)
        with self.lock(video_hash):
            current = self.latest(video_hash, language)
            if (current.version if current else 0) != over:
                raise EditConflict(current)
            saved_at = datetime.now(UTC).isoformat(timespec="seconds")
            edit = Edit(over + 1, saved_at, by, based_on, None if cues is None else tuple(cues))
            data = json.dumps(asdict(edit), ensure_ascii=False, indent=1).encode()
            self._files.write(f"{folder}/{edit.version}.json", data)
            self._files.write(f"{folder}/current.json", data)
        return edit

    def _last_of(self, folder: str) -> Edit | None:
        """Return the last version that can be read, where `current.json` can't be."""
        return next(reversed(list(self._versions(folder))), None)

    def _versions(self, folder: str) -> Iterator[Edit]:
        names = (f"{folder}/{number}.json" for number in count(1))
        return filter(None, map(self._read, takewhile(self._files.exists, names)))

    def _read(self, name: str) -> Edit | None:
        data = self._files.read(name)
        if data is None:
            return None
        try:
            values = json.loads(data)
            cues = values.pop("cues")
            return Edit(**values, cues=None if cues is None else tuple(EditedCue(*cue) for cue in cues))
        except (ValueError, TypeError, AttributeError, KeyError):
            log.warning("%s is damaged: the version before it counts", name)
            return None


def _folder(video_hash: str, language: str) -> str:
    return f"edits/{video_hash}/{language}"
