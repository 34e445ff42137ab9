"""Where two transcripts of one recording differ: in words, or in the times of words that both have."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import jiwer

from yivideo_pipeline.comparison.accuracy import CJK, normalize
from yivideo_pipeline.speech.types import Transcript, Word

SHIFTED_S = 0.2
"""A word that begins so much sooner or later is worth a look; subtitles that are 0.1 s off look right."""
CONTEXT_WORDS = 3
LONGEST_S = 30.0
"""What is longer is shown to here: two transcripts in different languages differ everywhere."""


class ShownWord(NamedTuple):
    """A word of a passage, and what of it differs from the other transcript: its time alone, or all."""

    word: Word
    differs: Literal["word", "time", ""]


@dataclass(frozen=True)
class DifferingPassage:
    """A stretch in which two transcripts differ, with some words around it.

    Attributes:
        start_s: When it begins, on the video's clock.
        end_s: When it ends.
        a: The words of the first transcript.
        b: The words of the second one.
        reference: What is said there, by the recording's text; empty where that is not known.
        shift_s: The largest difference between starts of words that both have.
    """

    start_s: float
    end_s: float
    a: tuple[ShownWord, ...]
    b: tuple[ShownWord, ...]
    reference: str
    shift_s: float

    @property
    def weight(self) -> int:
        """How many words differ."""
        return sum(one.differs == "word" for one in (*self.a, *self.b))


class Matching:
    """The words of two transcripts of one recording, matched in their order.

    Args:
        a: The first transcript's words.
        b: The second one's.
        language: The language by whose rules texts are compared.
    """

    def __init__(self, a: Sequence[Word], b: Sequence[Word], language: str) -> None:
        self.a, self._keys_a = _keyed(a, language)
        self.b, self._keys_b = _keyed(b, language)
        self._steps = jiwer.process_words(" ".join(self._keys_a), " ".join(self._keys_b)).alignments[0]

    def pairs(self) -> list[tuple[Word, Word]]:
        """Return the words that both have."""
        return [
            pair
            for step in self._steps
            if step.type == "equal"
            for pair in zip(
                self.a[step.ref_start_idx : step.ref_end_idx],
                self.b[step.hyp_start_idx : step.hyp_end_idx],
                strict=True,
            )
        ]

    def differences(self) -> Iterator["_Place"]:
        """Yield where the two differ, in their order."""
        for step in self._steps:
            if step.type != "equal":
                yield _Place(step.ref_start_idx, step.ref_end_idx, step.hyp_start_idx, step.hyp_end_idx)
                continue
            for at in range(step.ref_end_idx - step.ref_start_idx):
                first, second = step.ref_start_idx + at, step.hyp_start_idx + at
                shift_s = self.b[second].start_s - self.a[first].start_s
                if abs(shift_s) > SHIFTED_S:
                    yield _Place(first, first + 1, second, second + 1, shift_s)


class _Place(NamedTuple):
    """A range of words in each of two transcripts; `shift_s` where the words are the same ones."""

    start_a: int
    end_a: int
    start_b: int
    end_b: int
    shift_s: float = 0.0

    @property
    def kind(self) -> Literal["word", "time"]:
        """What differs."""
        return "time" if self.shift_s else "word"


def find_passages(a: Transcript, b: Transcript, reference: str, language: str) -> list[DifferingPassage]:
    """Return the passages in which two transcripts of a recording differ, in their order.

    Args:
        a: One transcript.
        b: The other one.
        reference: What is said, as far as it is known.
        language: The language by whose rules texts are compared.
    """
    matching = Matching(a.words, b.words, language)
    said = _Reference(reference, matching.a, language) if reference else None
    passages = []
    for group in _group(list(matching.differences())):
        first, last = group[0], group[-1]
        differing_a = {at: place.kind for place in group for at in range(place.start_a, place.end_a)}
        differing_b = {at: place.kind for place in group for at in range(place.start_b, place.end_b)}
        # Between groups both have the same words, so that the context is as long in both.
        before = min(CONTEXT_WORDS, first.start_a, first.start_b)
        after = min(CONTEXT_WORDS, len(matching.a) - last.end_a, len(matching.b) - last.end_b)
        range_a = range(first.start_a - before, last.end_a + after)
        range_b = range(first.start_b - before, last.end_b + after)
        shown_a = [ShownWord(matching.a[at], differing_a.get(at, "")) for at in range_a]
        shown_b = [ShownWord(matching.b[at], differing_b.get(at, "")) for at in range_b]
        text = said.between(range_a.start, range_a.stop) if said else ""
        shift_s = max((place.shift_s for place in group), key=abs)
        passages.append(_passage(shown_a, shown_b, text, shift_s))
    return passages


def _passage(a: list[ShownWord], b: list[ShownWord], reference: str, shift_s: float) -> DifferingPassage:
    start_s = min(shown.word.start_s for shown in (*a, *b))
    end_s = min(start_s + LONGEST_S, max(shown.word.end_s for shown in (*a, *b)))
    kept = [tuple(shown for shown in words if shown.word.start_s <= end_s) for words in (a, b)]
    return DifferingPassage(start_s, end_s, kept[0], kept[1], reference, shift_s)


def _group(places: list[_Place]) -> Iterator[list[_Place]]:
    """Join places whose contexts would meet."""
    group = places[:1]
    for before, after in pairwise(places):
        if min(after.start_a - before.end_a, after.start_b - before.end_b) > 2 * CONTEXT_WORDS:
            yield group
            group = []
        group.append(after)
    if group:
        yield group


class _Reference:
    """A recording's text, matched with the words of a transcript."""

    def __init__(self, text: str, words: Sequence[Word], language: str) -> None:
        parts = list(text) if language in CJK else text.split()
        keyed = [(part, key) for part in parts if (key := _key(part, language))]
        self._parts = [part for part, _ in keyed]
        self._join = "" if language in CJK else " "
        _, keys = _keyed(words, language)
        self._places = [0] * (len(keys) + 1)
        steps = jiwer.process_words(" ".join(key for _, key in keyed), " ".join(keys)).alignments[0]
        for step in steps:
            for at in range(step.hyp_end_idx - step.hyp_start_idx):
                self._places[step.hyp_start_idx + at] = min(step.ref_start_idx + at, step.ref_end_idx)
        self._places[-1] = len(keyed)

    def between(self, start: int, end: int) -> str:
        """Return the text from one word of the transcript to another."""
        return self._join.join(self._parts[self._places[start] : self._places[end]])


def _keyed(words: Sequence[Word], language: str) -> tuple[list[Word], list[str]]:
    """Return the words that are more than marks, and what each is compared by."""
    keyed = [(word, key) for word in words if (key := _key(word.text, language))]
    return [word for word, _ in keyed], [key for _, key in keyed]


def _key(text: str, language: str) -> str:
    return normalize(text, language).replace(" ", "")
