"""The resources of the assets, built from the settings once a process."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from yivideo_pipeline.defs.launch import Launch, Listener
from yivideo_pipeline.errors.tree import DiskError
from yivideo_pipeline.ledger.database import open_ledger
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.remote.speech import choose_speech
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.options import Aligner, SpeechOptions
from yivideo_pipeline.speech.engine import SpeechEngine
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import key_of, path_of


@dataclass(frozen=True)
class Library:
    """Where videos are: the roots by name; the first is the one that keys don't name."""

    roots: Mapping[str, Path]

    def key_of(self, path: Path) -> str:
        """Return a video's partition key."""
        return key_of(path, self.roots)

    def path_of(self, key: str) -> Path:
        """Return the video that a partition key stands for.

        Raises:
            DiskError: there is no such file, or the key stands for none.
        """
        try:
            path = path_of(key, self.roots)
        except ValueError as error:
            raise DiskError(str(error), "Put the library root back, or delete the partition") from error
        if not path.is_file():
            raise DiskError(f"There is no file {key}", "Put the video back, or delete its partition")
        return path


class SpeechResource(Protocol):
    """The speech models, wherever they run."""

    def check(self, options: SpeechOptions) -> tuple[str, ...]:
        """Return warnings about the options, before anything is loaded.

        Raises:
            ConfigValidationError: they can't work where the models run.
        """
        ...

    def revision(self, options: SpeechOptions) -> str:
        """Return the revision of the weights that the options name, without loading them."""
        ...

    def aligner(self, options: SpeechOptions, said: Transcript) -> Aligner:
        """Return what times the words of this transcript where the models run; never `auto`.

        Raises:
            ModelLoadError: wav2vec2 was asked for and can't be had.
        """
        ...

    def engine(
        self, options: SpeechOptions, background: bool = False
    ) -> AbstractContextManager[SpeechEngine]:
        """Lend an engine, loading the models where they are not; they stay loaded for the next one.

        Args:
            options: What to load.
            background: Whether others who want the same models at the same time go first.
        """
        ...


def build_resources(
    settings: Settings, speech: SpeechResource | None = None, listener: Listener | None = None
) -> dict[str, Any]:
    """Build every resource from the settings; nothing is loaded yet.

    Args:
        settings: The process's settings.
        speech: In place of the models that the settings name.
        listener: Told how far each stage is.
    """
    return {
        "launch": Launch(settings=settings, listener=listener or Listener()),
        "ledger": Ledger(open_ledger(settings.home)),
        "library": Library(settings.library.roots),
        "speech": speech or choose_speech(settings),
        "storage": Storage(settings.storage.root, settings.home / "tmp"),
    }
