"""Gives the cues of a foreign subtitle file the times of the spoken words; their text stays.

The file's words are matched with the transcript's in order. Three words in a row that both have just once are
anchors; between two anchors the rest is matched by difflib. A cue whose first word is matched begins with it.
What the words tell of neighbouring cues (how far these moved, and how fast the file drifts) places the ends,
and the cues without a match between neighbours that moved alike. A jump between the movements is a cut.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from statistics import median

from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.storage.edits import EditedCue
from yivideo_pipeline.subtitles.edited import bare_text, split_words

ANCHOR_WORDS = 3
MOST_BETWEEN = 1500
"""Longer stretches without an anchor are in one of the two alone: matching them would find nothing."""
LEAST_MATCHED = 0.5
"""A cue is placed by its words if at least this share of them is matched."""
NEIGHBOURS = 4
SAME_MOVE_MS = 600
"""Cues that moved alike, give or take the care with which they were timed; a larger step is a cut."""
RATE_DISTANCE = 12
MIN_LENGTH_MS = 300
GAP_MS = 40


@dataclass(frozen=True)
class Retiming:
    """The cues with their new times.

    Attributes:
        cues: All cues, in their order.
        unplaced: The places of those that kept their times, since nothing was found that they belong to.
        rate: How much longer the video is than what the file was made for; 1 without drift.
        cuts: How many times the cues before and after a place moved differently.
    """

    cues: tuple[EditedCue, ...]
    unplaced: tuple[int, ...]
    rate: float
    cuts: int


def retime(cues: Sequence[EditedCue], transcript: Transcript) -> Retiming:
    """Return cues with the times of the words that are spoken in a video.

    Args:
        cues: The cues, in order.
        transcript: The words of the video.
    """
    heard = [word for word in transcript.words if bare_text(word.text)]
    texts = [[bare_text(text) for text in split_words(cue.text)] for cue in cues]
    places = [(cue, place) for cue, words in enumerate(texts) for place in range(len(words))]
    pairs = match([texts[cue][place] for cue, place in places], [bare_text(word.text) for word in heard])
    found: dict[int, dict[int, Word]] = {}
    for written, spoken in pairs:
        cue, place = places[written]
        found.setdefault(cue, {})[place] = heard[spoken]
    return _Placement(cues, texts, found).place()


def match(written: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Return which words of two texts are the same, as pairs of places, both in order."""
    anchors = [(-1, -1), *_anchors(written, heard), (len(written), len(heard))]
    pairs: list[tuple[int, int]] = []
    for (a, b), (next_a, next_b) in pairwise(anchors):
        if a >= 0:
            pairs.append((a, b))
        if 0 < max(next_a - a, next_b - b) - 1 <= MOST_BETWEEN:
            matcher = SequenceMatcher(None, written[a + 1 : next_a], heard[b + 1 : next_b], autojunk=False)
            pairs += [
                (a + 1 + block.a + n, b + 1 + block.b + n)
                for block in matcher.get_matching_blocks()
                for n in range(block.size)
            ]
    return pairs


def _anchors(written: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """Return the longest run, in order, of word triples that both texts have once (patience sorting)."""
    ours, theirs = (_unique_triples(words) for words in (written, heard))
    common = sorted((place, theirs[triple]) for triple, place in ours.items() if triple in theirs)
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(common):
        at = bisect_left(tails, place)
        tails[at : at + 1] = [place]
        ends[at : at + 1] = [number]
        before.append(ends[at - 1] if at else -1)
    run, number = [], ends[-1] if ends else -1
    while number >= 0:
        run.append(common[number])
        number = before[number]
    return run[::-1]


def _unique_triples(words: Sequence[str]) -> dict[tuple[str, ...], int]:
    triples = [tuple(words[at : at + ANCHOR_WORDS]) for at in range(len(words) - ANCHOR_WORDS + 1)]
    counts = Counter(triples)
    return {triple: at for at, triple in enumerate(triples) if counts[triple] == 1}


class _Placement:
    """The new times of all cues, from the words that were found for each."""

    def __init__(
        self,
        cues: Sequence[EditedCue],
        texts: Sequence[Sequence[str]],
        found: dict[int, dict[int, Word]],
    ) -> None:
        self._cues = cues
        self._found = {
            cue: words
            for cue, words in found.items()
            if len(words) >= max(1, LEAST_MATCHED * len(texts[cue])) and _is_one_passage(cues[cue], words)
        }
        self._exact = {
            cue: round(words[0].start_s * 1000) - cues[cue].start_ms
            for cue, words in self._found.items()
            if 0 in words
        }
        """How far a cue moves whose first word was found."""
        self._known = sorted(self._exact)
        self._drift = self._measure_drift()
        for number in [one for one in self._known if self._is_mistaken(one)]:
            del self._exact[number], self._found[number]
        self._known = sorted(self._exact)

    def place(self) -> Retiming:
        """Return the cues with their new times."""
        moves = [self._move_of(number) for number in range(len(self._cues))]
        placed: list[EditedCue] = []
        for number, (cue, move) in enumerate(zip(self._cues, moves, strict=True)):
            if move is None:
                placed.append(cue)
                continue
            length = (cue.end_ms - cue.start_ms) * (1 + self._drift)
            start_ms = cue.start_ms + self._exact.get(number, move)
            words = self._found.get(number, {})
            spoken_to = max((round(word.end_s * 1000) for word in words.values()), default=0)
            end_ms = max(cue.start_ms + move + round(length), spoken_to, start_ms + MIN_LENGTH_MS)
            placed.append(EditedCue(max(0, start_ms), max(end_ms, MIN_LENGTH_MS), cue.text))
        moved = [number for number, move in enumerate(moves) if move is not None]
        for number, following in pairwise(moved):
            self._keep_apart(placed, number, following)
        known = [(self._cues[number].start_ms, self._exact[number]) for number in self._known]
        cuts = sum(
            abs(after - before - self._drift * (late - early)) > SAME_MOVE_MS
            for (early, before), (late, after) in pairwise(known)
        )
        unplaced = tuple(number for number, move in enumerate(moves) if move is None)
        return Retiming(tuple(placed), unplaced, 1 + self._drift, cuts)

    def _keep_apart(self, placed: list[EditedCue], number: int, following: int) -> None:
        """Shorten a cue that runs into the next, unless both were shown at once before."""
        cue, after = placed[number], placed[following]
        if self._cues[number].end_ms <= self._cues[following].start_ms:
            latest = max(after.start_ms - GAP_MS, cue.start_ms + 1)
            placed[number] = cue._replace(end_ms=min(cue.end_ms, latest))

    def _measure_drift(self) -> float:
        """Return by how much a second of the file grows, from cues some distance apart that no cut parts."""
        steps = []
        for early, late in zip(self._known, self._known[RATE_DISTANCE:], strict=False):
            span_ms = self._cues[late].start_ms - self._cues[early].start_ms
            if span_ms > 0:
                steps.append((self._exact[late] - self._exact[early]) / span_ms)
        drift = median(steps) if steps else 0.0
        return drift if abs(drift) < 0.2 else 0.0

    def _move_of(self, number: int) -> int | None:
        """Return how far a cue moves by what is known of it and of its neighbours; None: unknown."""
        at_ms = self._cues[number].start_ms
        place = bisect_left(self._known, number)
        near = self._known[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1]
        moves = [
            self._exact[one] + self._drift * (at_ms - self._cues[one].start_ms) for one in near
        ]  # as if they stood here
        if number in self._exact:
            own = self._exact[number]
            return round(median(move for move in moves if abs(move - own) <= SAME_MOVE_MS))
        between = self._move_between(number)
        if number in self._found:
            own = self._by_later_word(number)
            return own if between is None or abs(own - between) > SAME_MOVE_MS else between
        return between

    def _move_between(self, number: int) -> int | None:
        """Return how far the cues on both sides of one move; None where they move differently."""
        place, at_ms = bisect_left(self._known, number), self._cues[number].start_ms
        after = bisect_left(self._known, number + 1)
        sides = (*self._known[:place][-1:], *self._known[after : after + 1])
        moves = [self._exact[one] + self._drift * (at_ms - self._cues[one].start_ms) for one in sides]
        return round(median(moves)) if len(moves) == 2 and abs(moves[0] - moves[1]) <= SAME_MOVE_MS else None

    def _is_mistaken(self, number: int) -> bool:
        """Return whether a cue moves otherwise than both its neighbours: a frequent word of another place."""
        between = self._move_between(number)
        return between is not None and abs(self._exact[number] - between) > SAME_MOVE_MS

    def _by_later_word(self, number: int) -> int:
        """Return how far a cue moves whose first word was not found: its words are spread over its time."""
        cue, words = self._cues[number], self._found[number]
        place = min(words)
        texts = split_words(cue.text)
        share = sum(map(len, texts[:place])) / max(1, sum(map(len, texts)))
        was_ms = cue.start_ms + share * (cue.end_ms - cue.start_ms)
        return round(words[place].start_s * 1000 - was_ms)


def _is_one_passage(cue: EditedCue, words: dict[int, Word]) -> bool:
    """Return whether the words found for a cue are spoken about as closely as the cue is short."""
    starts = [word.start_s for word in words.values()]
    return max(starts) - min(starts) <= 1.5 * (cue.end_ms - cue.start_ms) / 1000 + 1
