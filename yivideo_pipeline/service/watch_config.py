"""Notices that the settings file has changed, however that comes about."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from watchfiles import watch

from yivideo_pipeline.errors.tree import YivideoError

log = logging.getLogger(__name__)

POLL_S = 5.0
"""A folder on a network tells nothing of what happens in it, so the file is looked at so often anyway."""
SETTLE_S = 0.5
"""So long a file must stay as it is: an editor may empty it first, or put a new one in its place."""
_DEBOUNCE_MS = 400


class ConfigWatch:
    """Calls an action once the content of a file has changed; also of one that is not there yet.

    The folders are watched, not the files: editors replace a file by renaming a new one. What counts is
    the content alone, so whatever else happens in the folders does no harm.

    Args:
        places: Where the file may be.
        changed: What to do; it tells by itself of settings that it refuses.
    """

    def __init__(self, places: Sequence[Path], changed: Callable[[], object]) -> None:
        self._places = places
        self._changed = changed
        self._stop = threading.Event()
        self._seen = self._read()
        self._thread = threading.Thread(target=self._run, name="config-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more; returns once the thread has ended, or is caught in a settings file to be read."""
        self._stop.set()
        self._thread.join(SETTLE_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            folders = self._folders()
            try:
                self._follow(folders)
            except (OSError, RuntimeError) as error:
                log.info("The settings file is looked at every %.0f s, not watched: %s", POLL_S, error)
                while folders == self._folders() and not self._stop.wait(POLL_S):
                    self._look()

    def _follow(self, folders: set[Path]) -> None:
        """Watch folders until the file lies in others."""
        events = watch(
            *folders,
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            stop_event=self._stop,
            rust_timeout=round(POLL_S * 1000),
            yield_on_timeout=True,
            recursive=False,
        )
        for _ in events:
            self._look()
            if folders != self._folders():
                return

    def _folders(self) -> set[Path]:
        """Where the file may be, and where links lead from there."""
        lying = {folder for place in self._places for folder in (place.parent, place.resolve().parent)}
        return {folder for folder in lying if folder.is_dir()}

    def _look(self) -> None:
        found = self._read()
        if found == self._seen:
            return
        while found != (later := self._read_later()):
            found = later
        if found == self._seen or self._stop.is_set():
            return
        self._seen = found
        try:
            self._changed()
        except YivideoError as error:
            log.info("The settings file changed, and the service did not: %s", error.kind)
        except Exception:
            log.exception("The changed settings could not be taken up")

    def _read_later(self) -> list[bytes | None]:
        self._stop.wait(SETTLE_S)
        return self._read()

    def _read(self) -> list[bytes | None]:
        return [_content(place) for place in self._places]


def _content(place: Path) -> bytes | None:
    try:
        return place.read_bytes()
    except OSError:  # it is not there, or not for us: whoever reads the settings says so
        return None
