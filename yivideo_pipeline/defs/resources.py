"""The resources of assets, sensors and schedules, built from the settings once per process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from yivideo_pipeline.defs.launch import Launch, Listener, SettingsSource, SpeechResource
from yivideo_pipeline.errors.tree import DiskError
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.media.container import require_regular
from yivideo_pipeline.remote.client import choose_speech
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import key_of, path_of
from yivideo_pipeline.storage.remote_paths import AnyPath


@dataclass(frozen=True)
class Library:
    """The library's roots by name; the first is the one that keys don't name."""

    roots: Mapping[str, AnyPath]

    def key_of(self, path: AnyPath) -> str:
        """Return a video's partition key."""
        return key_of(path, self.roots)

    def path_of(self, key: str) -> AnyPath:
        """Return the video's file or object by its partition key.

        Raises:
            DiskError: there is no such file, or the key is of no root.
            UnreadableMedia: it is no file but a folder, a pipe or the like.
        """
        try:
            path = path_of(key, self.roots)
        except ValueError as error:
            raise DiskError(str(error), "Put the library root back, or delete the partition") from error
        if not path.is_file():
            if path.exists():
                require_regular(path.stat().st_mode)
            raise DiskError(f"There is no file {key}", "Put the video back, or delete its partition")
        return path


def build_resources(
    settings: Settings,
    speech: SpeechResource | None = None,
    listener: Listener | None = None,
    *,
    read_settings: Callable[[], Settings] | None = None,
    writes_anywhere: bool = False,
) -> dict[str, Any]:
    """Build every resource; nothing is loaded yet.

    Args:
        settings: All settings of the process.
        speech: The models; by default those that the settings name.
        listener: Called with the progress of each stage.
        read_settings: Returns the settings as they are now; by default they never change.
        writes_anywhere: Whether a launch may name any folder for its subtitles.
    """
    database = settings.storage.read_database_url()
    ledger = open_ledger(settings.home, database)
    # With a database there may be other hosts, which see no file locks of this one.
    locks = ledger.leases.hold if database else None
    return {
        "launch": Launch(
            models=speech or choose_speech(settings),
            settings=settings,
            source=SettingsSource(read_settings or (lambda: settings)),
            listener=listener or Listener(),
            writes_anywhere=writes_anywhere,
        ),
        "ledger": ledger,
        "library": Library(settings.library.roots),
        "storage": Storage(settings.storage.root, settings.home / "tmp", locks),
    }
