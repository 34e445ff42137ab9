"""The contract of what gives recognized text its first word times, and what passes through it."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from yivideo_pipeline.settings.options import Task
from yivideo_pipeline.speech.chunks import Chunk


@dataclass(frozen=True)
class Encoded:
    """Chunks with their samples, speech probabilities and the model's encoder output.

    `sounds` are float32 at 16 kHz, `activities` the probability of speech at each 10 ms, `view` a
    CTranslate2 view of shape (n, 1500, d).
    """

    chunks: tuple[Chunk, ...]
    sounds: tuple[np.ndarray, ...]
    activities: tuple[np.ndarray, ...]
    view: Any


@dataclass(frozen=True)
class TimedText:
    """Words of one chunk with start and end on the chunk's clock, shape (n, 2), and confidences."""

    words: tuple[str, ...]
    times: np.ndarray
    confidences: np.ndarray
    timed: np.ndarray  # bool: False where a word has no sound of its own and was put between others


class TextAligner(Protocol):
    """Finds when each word of a recognized text was said."""

    def align(
        self, encoded: Encoded, texts: list[str], language: str, task: Task = Task.TRANSCRIBE
    ) -> list[TimedText]:
        """Time the words of each chunk's text: what is said in the language, or its translation."""
        ...
