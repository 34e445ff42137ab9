"""The contract that every speech engine keeps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.types import Transcript, Word

Progress = Callable[[float], None]
"""Receives the share of the work that is done, 0 to 1; also called repeatedly while the work waits.

An exception that it raises ends the work.
"""

OnWords = Callable[[Sequence[Word]], None]
"""Receives the words of each part of the sound, in order, as soon as all earlier parts are recognized."""


class Checkpoint(Protocol):
    """The kept parts of one transcript, JSON values by name; those of one sound, model and set of options."""

    def load(self) -> Mapping[str, Any]:
        """Return all that was kept."""
        ...

    def save(self, entries: Mapping[str, Any]) -> None:
        """Keep more."""
        ...

    def note_resumed(self, sound_s: float) -> None:
        """Note how many seconds of the sound had been recognized before."""
        ...


@dataclass(frozen=True)
class EngineInfo:
    """What an engine runs and where.

    `steps` has one line for each fallback to a smaller configuration, in order; `chosen` is why `auto` meant
    this model, empty where the options named it.
    """

    model: str
    revision: str
    device: str
    compute_type: str
    batch_size: int
    threads: int
    backend: str
    steps: tuple[str, ...] = ()
    chosen: str = ""


def short_revision(revision: str) -> str:
    """Return as much of a revision of weights as tells it from others."""
    kind, _, digest = revision.rpartition(":")
    return f"{kind}:{digest[:12]}" if kind else digest[:12]


class SpeechEngine(Protocol):
    """Turns sound into a transcript, and a transcript's words into exactly timed words."""

    def describe(self) -> EngineInfo:
        """Return what runs where at present."""
        ...

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        """Recognize what was said; each word already has a time from the model's own attention.

        Args:
            audio: The sound.
            options: How to recognize it.
            progress: Receives the share that is done; begins with what the checkpoint has.
            on_words: Receives the words as they are recognized.
            checkpoint: Keeps the finished parts; those that it has already are not recognized again.

        Raises:
            YivideoError: of the tree in `errors.tree`; memory exhaustion only after every smaller
                batch and compute type was tried.
        """
        ...

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Return the transcript with every word at its final time, by the aligner that the options choose."""
        ...


class ResidentEngine(SpeechEngine, Protocol):
    """An engine whose model is in this process; it can also detect the language alone."""

    def detect_language(self, audio: Audio, progress: Progress | None = None) -> tuple[str, float]:
        """Return the likeliest spoken language and its probability; `und` and 0 where nobody speaks."""
        ...
