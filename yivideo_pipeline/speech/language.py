"""Which language is spoken, judged by speech from all over the video rather than its first 30 seconds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.recognizer import Piece, Recognizer

LANGUAGE_SAMPLE = 8  # chunks that the language is judged by: up to four minutes from all over

Detected = tuple[dict[str, float], np.ndarray | None]
"""The probability of each language in one piece, and its encoder output where it was computed."""


@dataclass(frozen=True)
class DetectLanguages:
    """Batch function: detects the language of each piece."""

    def __call__(self, recognizer: Recognizer, pieces: list[Piece]) -> list[Detected]:
        """Return what was detected in each piece, in order."""
        return recognizer.detect_languages(pieces)


def spread_order(count: int, sample: int) -> list[int]:
    """Return the indices 0..count-1 with `sample` of them, evenly spread, first."""
    if count <= sample:
        return list(range(count))
    first = [round((index + 0.5) * count / sample - 0.5) for index in range(sample)]
    return first + [index for index in range(count) if index not in set(first)]


def choose_sample(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces that the language is judged by, evenly spread over the sound."""
    return [pieces[index] for index in spread_order(len(pieces), LANGUAGE_SAMPLE)[:LANGUAGE_SAMPLE]]


def choose_language(chunks: Sequence[Chunk], probabilities: Sequence[dict[str, float]]) -> tuple[str, float]:
    """Return the likeliest language and its probability; each chunk is weighted by its length."""
    total: dict[str, float] = defaultdict(float)
    for chunk, row in zip(chunks, probabilities, strict=True):
        for language, probability in row.items():
            total[language] += probability * chunk.duration_s
    language = max(total, key=lambda code: total[code])
    return language, total[language] / sum(chunk.duration_s for chunk in chunks)
