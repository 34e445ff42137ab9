"""One group of chunks through the model: encoded once, decoded, doubted, aligned."""

from dataclasses import dataclass, replace

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import Task
from yivideo_pipeline.speech.align.text import Encoded, TextAligner
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.doubts import (
    DOUBTFUL_SPEECH_PROB,
    FALLBACK_TEMPERATURES,
    choose_best,
    is_doubtful,
    is_said_again,
    is_silence,
    is_sure,
)
from yivideo_pipeline.speech.vad import HOP_S, speech_probabilities
from yivideo_pipeline.speech.whisper import Decoded, Whisper

MAP_STEP_S = 0.01  # resolution at which voice activity is given to the aligner


@dataclass(frozen=True, eq=False)
class Piece:
    """A chunk of a sound; `row` is its encoder output, shape (1, 1500, d), where it was made before."""

    audio: Audio
    chunk: Chunk
    row: np.ndarray | None = None


class Recognizer:
    """A model and what times its words; safe to be used by several threads at once."""

    def __init__(self, whisper: Whisper, aligner: TextAligner) -> None:
        self.whisper = whisper
        self.aligner = aligner

    def encode(self, pieces: list[Piece]) -> Encoded:
        """Read the pieces' sound, and encode it where that was not done before."""
        chunks = tuple(piece.chunk for piece in pieces)
        sounds = tuple(piece.chunk.read(piece.audio) for piece in pieces)
        activities = tuple(
            piece.chunk.sample(speech_probabilities(piece.audio), HOP_S, MAP_STEP_S) for piece in pieces
        )
        rows = [piece.row for piece in pieces]
        if all(row is None for row in rows):
            view = self.whisper.encode(list(sounds))
        else:
            view = self.whisper.stack(
                [
                    self.whisper.on_host(self.whisper.encode([sound])) if row is None else row
                    for row, sound in zip(rows, sounds, strict=True)
                ]
            )
        return Encoded(chunks, sounds, activities, view)

    def detect_languages(self, pieces: list[Piece]) -> list[tuple[dict[str, float], np.ndarray | None]]:
        """Probability of each language for each piece, and its encoder output where it had to be made."""
        if not self.whisper.model.is_multilingual:
            return [({"en": 1.0}, None)] * len(pieces)
        view = self.encode(pieces).view
        rows = self.whisper.on_host(view)
        found = self.whisper.detect_languages(view)
        return [(one, rows[index : index + 1]) for index, one in enumerate(found)]

    def recognize(
        self, encoded: Encoded, language: str, beam_size: int, task: Task = Task.TRANSCRIBE
    ) -> list[Passage | None]:
        """What was said in each chunk, with word times; None where nothing was said."""
        encoded, firsts = self._decode(encoded, language, beam_size, task)
        decoded = [self._settle(encoded, row, first, language, task) for row, first in enumerate(firsts)]
        texts = ["" if one is None else one.text for one in decoded]
        timed = self.aligner.align(encoded, texts, language, task)
        return [
            Passage(chunk, words, one.avg_logprob, one.no_speech_prob) if one and words.words else None
            for chunk, words, one in zip(encoded.chunks, timed, decoded, strict=True)
        ]

    def _decode(
        self, encoded: Encoded, language: str, beam_size: int, task: Task
    ) -> tuple[Encoded, list[Decoded]]:
        """Decode each chunk; an unsure one again, from an encoder that has read all of its window.

        It is by the silence around it that Whisper tells noise from speech best.
        """
        decoded = self.whisper.decode(encoded.view, language, beam_size, task=task)
        unsure = [
            row
            for row, (sound, first) in enumerate(zip(encoded.sounds, decoded, strict=True))
            if not is_sure(first) and self.whisper.leaves_out_silence(sound)
        ]
        if not unsure:
            return encoded, decoded
        view = self.whisper.encode([encoded.sounds[row] for row in unsure], whole=True)
        for row, again in zip(unsure, self.whisper.decode(view, language, beam_size, task=task), strict=True):
            decoded[row] = again
        rows = self.whisper.on_host(encoded.view)
        rows[unsure] = self.whisper.on_host(view)
        return replace(encoded, view=self.whisper.stack(list(rows[:, np.newaxis]))), decoded

    def _settle(
        self, encoded: Encoded, row: int, first: Decoded, language: str, task: Task
    ) -> Decoded | None:
        """Decode a doubtful chunk again at rising temperatures; None where it holds no speech."""
        if is_silence(first):
            return None
        attempts = [first]
        for temperature in FALLBACK_TEMPERATURES:
            if not is_doubtful(attempts[-1]) or is_said_again(attempts):
                break
            view = self.whisper.pick(encoded.view, row)
            attempts += self.whisper.decode(view, language, 1, temperature, task)
        best = choose_best(attempts, task)
        # The last attempt is doubtful only where all are; the best may be what a chorus repeats.
        return None if is_doubtful(attempts[-1]) and best.no_speech_prob > DOUBTFUL_SPEECH_PROB else best
