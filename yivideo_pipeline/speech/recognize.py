"""One group of chunks through the model: encoded once, decoded, doubted, aligned."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.attention import align_batch
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.doubts import FALLBACK_TEMPERATURES, choose_best, is_doubtful, is_silence
from yivideo_pipeline.speech.whisper import Decoded, Whisper


@dataclass(frozen=True)
class Encoded:
    """Chunks with their samples and the model's encoder output for them, shape (n, 1500, d)."""

    chunks: tuple[Chunk, ...]
    sounds: tuple[np.ndarray, ...]
    view: Any


class Recognizer:
    """A model and what is known of its attention; safe to be used by several threads at once."""

    def __init__(self, whisper: Whisper, lag_s: float) -> None:
        self.whisper = whisper
        self._lag_s = lag_s

    def encode(self, audio: Audio, chunks: list[Chunk]) -> Encoded:
        """Read the chunks' sound and encode it."""
        sounds = [chunk.read(audio) for chunk in chunks]
        return Encoded(tuple(chunks), tuple(sounds), self.whisper.encode(sounds))

    def recognize(self, encoded: Encoded, language: str, beam_size: int) -> list[Passage | None]:
        """What was said in each chunk, with word times; None where nothing was said."""
        decoded = [
            self._settle(encoded, row, first, language)
            for row, first in enumerate(self.whisper.decode(encoded.view, language, beam_size))
        ]
        texts = ["" if one is None else one.text for one in decoded]
        timed = align_batch(
            self.whisper, encoded.view, texts, list(encoded.sounds), language, self._lag_s
        )  # fmt: skip
        return [
            Passage(chunk, words, one.avg_logprob, one.no_speech_prob) if one and words.words else None
            for chunk, words, one in zip(encoded.chunks, timed, decoded, strict=True)
        ]

    def _settle(self, encoded: Encoded, row: int, first: Decoded, language: str) -> Decoded | None:
        """Decode a doubtful chunk again at rising temperatures; None where it holds no speech."""
        if is_silence(first):
            return None
        attempts = [first]
        for temperature in FALLBACK_TEMPERATURES:
            if not is_doubtful(attempts[-1]):
                return attempts[-1]
            view = self.whisper.encode([encoded.sounds[row]])
            attempts += self.whisper.decode(view, language, 1, temperature)
        best = choose_best(attempts)
        return None if is_doubtful(best) and best.no_speech_prob > 0.3 else best
