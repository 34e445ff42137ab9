"""Checkpoints: what of a transcript is finished, so that it goes on where it was when its process was killed.

The engine finishes windows one by one and keeps each in a `Checkpoint`, of which it knows nothing more: a
run's lies in the storage (`storage.checkpoints`), the service sends each part to the run that asked for it.
What the engine finds there it does not do again (ADR 17).
"""

import base64
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.speech.align.text import WordTimings
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.engine import Checkpoint
from yivideo_pipeline.speech.types import Span
from yivideo_pipeline.speech.vad import HOP, remember_probabilities, speech_probabilities

log = logging.getLogger(__name__)

SHORTEST_S = 60.0
"""A sound up to this length is done again as a whole."""
_FORMAT = "2"  # of the entries; in their names, so that those of another version are not found
_SPEECH = f"{_FORMAT} speech"
_TYPES = ("bool", "float32", "float64")
Read = TypeVar("Read")


class Finished:
    """The finished parts of one transcript, in the terms of the engine.

    Args:
        checkpoint: Where they are kept; None keeps nothing.
        audio: The sound.
    """

    def __init__(self, checkpoint: Checkpoint | None, audio: Audio) -> None:
        self._checkpoint = checkpoint if audio.duration_s > SHORTEST_S else None
        self._audio = audio
        self._entries = dict(self._checkpoint.load()) if self._checkpoint else {}

    def restore_speech(self) -> None:
        """Have voices not searched for again; keep what is found where it was not kept yet."""
        if self._checkpoint is None:
            return
        kept = self._read(_SPEECH, lambda text: np.frombuffer(base64.b64decode(text), np.float32))
        if kept is not None and len(kept) == -(-len(self._audio.samples) // HOP):
            remember_probabilities(self._audio, kept)
            return
        found = speech_probabilities(self._audio)
        self._save({_SPEECH: base64.b64encode(found.tobytes()).decode("ascii")})

    def languages(self, chunk: Chunk) -> dict[str, float] | None:
        """Return the language probabilities of a chunk; None where they were not kept."""
        return self._read(_name("language", chunk), _read_languages)

    def keep_languages(self, chunks: Sequence[Chunk], found: Sequence[dict[str, float]]) -> None:
        """Keep the language probabilities of chunks."""
        self._save({_name("language", chunk): one for chunk, one in zip(chunks, found, strict=True)})

    def passages(self, kind: str, chunks: Sequence[Chunk]) -> dict[Chunk, list[Passage]]:
        """Return the passages of those chunks that are finished.

        Args:
            kind: How they were recognized; each kind is kept for itself.
            chunks: The chunks.
        """
        found = {chunk: self._read(_name(kind, chunk), _read_passages) for chunk in chunks}
        return {chunk: passages for chunk, passages in found.items() if passages is not None}

    def keep_passages(
        self, kind: str, chunks: Sequence[Chunk], passages: Sequence[Sequence[Passage]]
    ) -> None:
        """Keep the passages of finished chunks."""
        self._save(
            {
                _name(kind, chunk): [_write_passage(one) for one in some]
                for chunk, some in zip(chunks, passages, strict=True)
            }
        )

    def note_resumed(self, share: float) -> None:
        """Note which share of the sound had been recognized before; does nothing where nothing had been."""
        if share and self._checkpoint:
            sound_s = share * self._audio.duration_s
            log.info("going on: %.0f of %.0f s were recognized before", sound_s, self._audio.duration_s)
            self._checkpoint.note_resumed(sound_s)

    def _read(self, name: str, read: Callable[[Any], Read]) -> Read | None:
        """Return a kept value; None where there is none, or another program wrote something else there."""
        if name not in self._entries:
            return None
        try:
            return read(self._entries[name])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            log.warning("a kept part of the transcript can't be read and is made again: %r", error)
            return None

    def _save(self, entries: Mapping[str, Any]) -> None:
        if self._checkpoint and entries:
            self._checkpoint.save(entries)


def _name(kind: str, chunk: Chunk) -> str:
    """Return the name of a chunk's entry: exactly these pieces of the sound, or another entry."""
    return " ".join([_FORMAT, kind, *(f"{piece.start_s!r}-{piece.end_s!r}" for piece in chunk.pieces)])


def _write_passage(passage: Passage) -> dict[str, Any]:
    timed = passage.timed
    return {
        "pieces": [[piece.start_s, piece.end_s] for piece in passage.chunk.pieces],
        "words": list(timed.words),
        "times": _write_array(timed.times),
        "confidences": _write_array(timed.confidences),
        "timed": _write_array(timed.timed),
        "avg_logprob": passage.avg_logprob,
        "no_speech_prob": passage.no_speech_prob,
        "language": passage.language,
    }


def _read_languages(kept: Mapping[str, float]) -> dict[str, float]:
    return {language: float(probability) for language, probability in kept.items()}


def _read_passages(kept: Sequence[Mapping[str, Any]]) -> list[Passage]:
    return [_read_passage(one) for one in kept]


def _read_passage(kept: Mapping[str, Any]) -> Passage:
    timed = WordTimings(
        tuple(kept["words"]), *(_read_array(kept[name]) for name in ("times", "confidences", "timed"))
    )
    pieces = tuple(Span(start_s=start, end_s=end) for start, end in kept["pieces"])
    return Passage(Chunk(pieces), timed, kept["avg_logprob"], kept["no_speech_prob"], kept["language"])


def _write_array(values: np.ndarray) -> dict[str, Any]:
    """Return an array as JSON, whose numbers Python writes so that they are read as the same ones."""
    return {"type": str(values.dtype), "values": values.tolist()}


def _read_array(kept: Mapping[str, Any]) -> np.ndarray:
    if kept["type"] not in _TYPES:  # of others one value may take any memory
        raise ValueError(f"an array of {kept['type']}")
    return np.array(kept["values"], kept["type"])
