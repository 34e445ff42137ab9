"""The contract that every speech engine keeps."""

from collections.abc import Callable
from typing import Protocol


from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.types import Transcript

Progress = Callable[[float], None]
"""Told how much of the stage is done, 0 to 1."""


class SpeechEngine(Protocol):
    """Turns sound into a transcript, and a transcript's words into exactly timed words."""

    def transcribe(
        self, audio: Audio, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Recognize what was said; each word already has a time from the model's own attention.

        Raises:
            YivideoError: of the tree in `errors.tree`; memory exhaustion only after every smaller
                batch and compute type was tried.
        """
        ...

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Return the transcript with every word at its final time, by the aligner the options choose."""
        ...
