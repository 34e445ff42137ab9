"""Cutting a transcript's sound into slices that an acoustic model reads at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.speech.types import Transcript, Word

MARGIN_S = 0.3
"""Sound before and after the words: how far the times that are to be corrected may be off."""
MIN_FILL = 0.8
"""Shortest share of a batch's longest slice: padding costs time, and moves some models' normalization."""


@dataclass(frozen=True)
class Slice:
    """Words `first` to `last` (exclusive) of a transcript; times are on the sound's own clock."""

    first: int
    last: int
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Seconds of sound."""
        return self.end_s - self.start_s


def plan_slices(transcript: Transcript, audio: Audio, longest_s: float) -> list[Slice]:
    """One slice a segment, halved at its widest pauses until no slice is over `longest_s`."""
    slices: list[Slice] = []
    first = 0
    for segment in transcript.segments:
        for start, stop in _halve(segment.words, longest_s - 2 * MARGIN_S):
            words = segment.words[start:stop]
            start_s = max(0.0, words[0].start_s - audio.offset_s - MARGIN_S)
            end_s = min(audio.duration_s, words[-1].end_s - audio.offset_s + MARGIN_S, start_s + longest_s)
            slices.append(Slice(first + start, first + stop, start_s, end_s))
        first += len(segment.words)
    return slices


def _halve(words: Sequence[Word], longest_s: float) -> list[tuple[int, int]]:
    """Parts of at most `longest_s`, in order; a single word is left as it is."""
    pending, done = [(0, len(words))], []
    while pending:
        first, last = pending.pop()
        if last - first < 2 or words[last - 1].end_s - words[first].start_s <= longest_s:
            done.append((first, last))
            continue
        middle = (first + last) / 2

        def pause_then_middle(cut: int, middle: float = middle) -> tuple[float, float]:
            return round(words[cut].start_s - words[cut - 1].end_s, 2), -abs(cut - middle)

        low, high = first + (last - first) // 4, last - (last - first) // 4
        cut = max(range(max(first + 1, low), max(first + 2, high)), key=pause_then_middle)
        pending += [(first, cut), (cut, last)]
    return sorted(part for part in done if part[0] < part[1])


def group_slices(slices: Sequence[Slice], batch_s: float) -> Iterator[list[Slice]]:
    """Groups of slices of similar length that take at most `batch_s` with their padding, longest first."""
    group: list[Slice] = []
    for one in sorted(slices, key=lambda one: -one.duration_s):
        longest_s = group[0].duration_s if group else 0.0
        if group and ((len(group) + 1) * longest_s > batch_s or one.duration_s < MIN_FILL * longest_s):
            yield group
            group = []
        group.append(one)
    if group:
        yield group
