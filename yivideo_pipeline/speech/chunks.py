"""Packs speech into encoder windows: Whisper always reads 30 s at a time.

Long silences are cut down to a little real silence on either side, so that sparse speech takes few
windows; the sound itself is kept, so that words keep their exact times. Cuts are made in pauses,
preferably long ones.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.speech.types import Span

WINDOW_S = 30.0
PAD_S = 0.4  # real sound kept on either side of a span
MIN_FILL_S = 20.0  # a chunk is cut only after this much sound
FILL_WORTH = 0.04  # seconds of pause that one more second of fill outweighs


@dataclass(frozen=True)
class Chunk:
    """Pieces of sound joined into one encoder window; times on the sound's own clock."""

    pieces: tuple[Span, ...]

    @cached_property
    def _starts(self) -> list[float]:
        """Where each piece begins inside the chunk."""
        lengths = [piece.end_s - piece.start_s for piece in self.pieces]
        return [0.0, *np.cumsum(lengths)[:-1].tolist()]

    @property
    def duration_s(self) -> float:
        """Seconds of sound in the chunk."""
        return sum(piece.end_s - piece.start_s for piece in self.pieces)

    @property
    def start_s(self) -> float:
        """Where the chunk begins in the sound."""
        return self.pieces[0].start_s

    @property
    def end_s(self) -> float:
        """Where the chunk ends in the sound."""
        return self.pieces[-1].end_s

    def read(self, audio: Audio) -> np.ndarray:
        """Return the chunk's samples, float32 in -1..1, shape (n,)."""
        return np.concatenate([audio.slice(piece.start_s, piece.end_s) for piece in self.pieces])

    def part(self, start_s: float, end_s: float) -> "Chunk":
        """Return what lies between two times on the chunk's own clock."""
        spans = []
        for piece, begin_s in zip(self.pieces, self._starts, strict=True):
            shift = piece.start_s - begin_s
            first, last = max(piece.start_s, start_s + shift), min(piece.end_s, end_s + shift)
            if last - first > 1e-6:
                spans.append(Span(start_s=first, end_s=last))
        return Chunk(tuple(spans))

    def sample(self, values: np.ndarray, hop_s: float, step_s: float) -> np.ndarray:
        """Sample values of the whole sound (one each `hop_s`) along the chunk, one each `step_s`."""
        times = (np.arange(round(self.duration_s / step_s)) + 0.5) * step_s
        piece = np.clip(np.searchsorted(self._starts, times, side="right") - 1, 0, None)
        shifts = np.array([span.start_s for span in self.pieces]) - np.array(self._starts)
        centres = (np.arange(len(values)) + 0.5) * hop_s
        return np.interp(times + shifts[piece], centres, values) if len(values) else np.zeros(len(times))

    def to_source(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Map a word's start and end inside the chunk to the sound's own clock.

        A word belongs to the one piece that contains most of it: a word across the seam of two
        pieces would otherwise last as long as the silence that was cut out there.
        """
        last = max(0, bisect_left(self._starts, end_s) - 1)
        first = min(last, max(0, bisect_right(self._starts, start_s) - 1))
        ends = [*self._starts[1:], self.duration_s]
        index = max(
            range(first, last + 1),
            key=lambda piece: min(end_s, ends[piece]) - max(start_s, self._starts[piece]),
        )
        piece = self.pieces[index]
        shift = piece.start_s - self._starts[index]
        return max(start_s + shift, piece.start_s), min(end_s + shift, piece.end_s)


def plan_chunks(
    spans: tuple[Span, ...], probabilities: np.ndarray, hop_s: float, duration_s: float
) -> list[Chunk]:
    """Pack spans into chunks of at most 30 s, in order.

    Args:
        spans: The intervals of the voice activity detector, in order.
        probabilities: Its frame probabilities; speech without a pause is cut where they are lowest.
        hop_s: Seconds of one probability.
        duration_s: Length of the sound.
    """
    spans = tuple(part for span in spans for part in _split_long(span, probabilities, hop_s))
    padded = pad_spans(spans, duration_s)
    chunks: list[Chunk] = []
    first = 0
    while first < len(padded):
        last = _choose_cut(padded, spans, first)
        chunks.append(Chunk(_join(padded[first : last + 1])))
        first = last + 1
    return chunks


def _split_long(span: Span, probabilities: np.ndarray, hop_s: float) -> list[Span]:
    """Cut a span longer than a window where speech is least likely, after two thirds of a window."""
    limit = WINDOW_S - 2 * PAD_S
    parts: list[Span] = []
    start = span.start_s
    while span.end_s - start > limit:
        low, high = round((start + limit * 2 / 3) / hop_s), round((start + limit) / hop_s)
        cut = (low + int(np.argmin(probabilities[low:high]))) * hop_s
        parts.append(Span(start_s=start, end_s=cut))
        start = cut
    return [*parts, Span(start_s=start, end_s=span.end_s)]


def pad_spans(spans: tuple[Span, ...], duration_s: float) -> list[Span]:
    """Widen spans, in order, into the silence around them; neighbours share a short gap at its middle."""
    padded = []
    for index, span in enumerate(spans):
        before = spans[index - 1].end_s if index else -PAD_S
        after = spans[index + 1].start_s if index + 1 < len(spans) else duration_s + PAD_S
        start = max(0.0, span.start_s - min(PAD_S, (span.start_s - before) / 2))
        end = min(duration_s, span.end_s + min(PAD_S, (after - span.end_s) / 2))
        padded.append(Span(start_s=start, end_s=end))
    return padded


def _choose_cut(padded: list[Span], spans: tuple[Span, ...], first: int) -> int:
    """Return the index of the chunk's last span: the best of those that fill the window well."""
    filled, best, best_value = 0.0, first, float("-inf")
    for index in range(first, len(padded)):
        filled += padded[index].end_s - padded[index].start_s
        if filled > WINDOW_S and index > first:
            break
        if index + 1 == len(padded):
            return index
        pause = min(spans[index + 1].start_s - spans[index].end_s, 1.0)
        value = pause + FILL_WORTH * filled if filled >= MIN_FILL_S else filled - WINDOW_S
        if value >= best_value:
            best, best_value = index, value
    return best


def _join(pieces: list[Span]) -> tuple[Span, ...]:
    """Merge pieces that touch."""
    joined = [pieces[0]]
    for piece in pieces[1:]:
        if piece.start_s - joined[-1].end_s < 1e-6:
            joined[-1] = Span(start_s=joined[-1].start_s, end_s=piece.end_s)
        else:
            joined.append(piece)
    return tuple(joined)
