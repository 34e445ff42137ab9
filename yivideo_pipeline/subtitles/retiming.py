"""Gives the cues of a foreign subtitle file the times of the spoken words; their text stays.

A file that was made for another version stands off the sound by some seconds, the same for all of a scene.
The words around each cue tell by how much: each three words in a row that the transcript has too, anywhere,
vote for a movement, and the right one gets most votes, even where the same is said fifty times. A cue's words
are then looked for there. One whose first word is found begins with it. What the words tell of neighbouring
cues (how far these moved, how fast the file drifts) places the ends, and the cues without a match between
neighbours that moved alike. A jump between the movements is a cut.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import Match, SequenceMatcher
from itertools import accumulate, pairwise
from statistics import median

from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.storage.edits import EditedCue
from yivideo_pipeline.subtitles.edited import bare_text, split_words

VOTING_WORDS = 3
AROUND_S = 30.0
"""So far before a cue, and so far behind it, words vote on its movement."""
VOTE_STEP_S = 1.0
"""Votes are counted in such steps, with those beside: a drift of 4% moves them by 1.2 s in `AROUND_S`."""
LEAST_VOTES = 0.15
"""Of the words around a cue; where a third is misheard, a third of the threes is still right."""
MOST_ALIKE = 200
"""Three words that the transcript has more often say nothing."""
LIKELY = 20
"""So many steps with the most votes of their own are summed with those beside."""
REACH_S = 3.0
"""A cue's words are looked for so far before and behind the place that was voted for."""
MOST_AT_ONCE = 8
"""So many cues are compared with the words together: more of them may hold the same sentence twice."""
JUMP_COST = 10
"""So many words more must be found where a movement jumps: about those of two cues."""
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
    return _Placement(cues, texts, find_words(cues, texts, heard)).place()


def find_words(
    cues: Sequence[EditedCue], texts: Sequence[Sequence[str]], heard: Sequence[Word]
) -> dict[int, dict[int, Word]]:
    """Return by cue which of its words, by their places in it, are which spoken ones.

    Args:
        cues: The cues, in order.
        texts: The bare words of each.
        heard: The spoken words, in order.
    """
    spoken, starts = [bare_text(word.text) for word in heard], [word.start_s for word in heard]
    found: dict[int, dict[int, Word]] = {}
    for first, last, move_s in _scenes(cues, texts, spoken, starts):
        places = [(cue, place) for cue in range(first, last) for place in range(len(texts[cue]))]
        begin = bisect_left(starts, cues[first].start_ms / 1000 + move_s - REACH_S)
        end = bisect_right(starts, cues[last - 1].end_ms / 1000 + move_s + REACH_S)
        for block in _matches([texts[cue][place] for cue, place in places], spoken[begin:end]):
            for n in range(block.size):
                cue, place = places[block.a + n]
                found.setdefault(cue, {})[place] = heard[begin + block.b + n]
    return found


def _matches(written: Sequence[str], spoken: Sequence[str]) -> list[Match]:
    return SequenceMatcher(None, written, spoken, autojunk=False).get_matching_blocks()


def _scenes(
    cues: Sequence[EditedCue], texts: Sequence[Sequence[str]], spoken: Sequence[str], starts: Sequence[float]
) -> Iterator[tuple[int, int, float]]:
    """Yield the cues from one to before another that move alike, and by how many seconds."""
    moves = _choose_moves(cues, texts, spoken, starts)
    scene: list[int] = []
    for number in sorted(moves):
        is_near = scene and number - scene[0] < MOST_AT_ONCE
        if scene and not (is_near and abs(moves[number] - moves[scene[0]]) <= VOTE_STEP_S):
            yield scene[0], scene[-1] + 1, moves[scene[0]]
            scene = []
        scene.append(number)
    if scene:
        yield scene[0], scene[-1] + 1, moves[scene[0]]


def _choose_moves(
    cues: Sequence[EditedCue], texts: Sequence[Sequence[str]], spoken: Sequence[str], starts: Sequence[float]
) -> dict[int, float]:
    """Return by how many seconds cues move: so that most words are found with fewest jumps (Viterbi)."""

    def count(number: int, move_s: float) -> int:
        cue = cues[number]
        first = bisect_left(starts, cue.start_ms / 1000 + move_s - REACH_S)
        last = bisect_right(starts, cue.end_ms / 1000 + move_s + REACH_S)
        return sum(block.size for block in _matches(texts[number], spoken[first:last]))

    known: list[int] = []
    guesses: list[list[float]] = []
    scores: list[float] = []
    steps: list[list[int]] = []
    for number, moves in enumerate(_voted_moves(cues, texts, spoken, starts)):
        if not moves:
            continue
        before = guesses[-1] if guesses else []
        reached, step = [], []
        for move_s in moves:
            sums = [
                score - (JUMP_COST if abs(was_s - move_s) > REACH_S else 0)
                for score, was_s in zip(scores, before, strict=True)
            ]
            step.append(max(range(len(sums)), key=sums.__getitem__, default=-1))
            reached.append(count(number, move_s) + max(sums, default=0))
        known.append(number)
        guesses.append(moves)
        steps.append(step)
        scores = reached
    chosen: dict[int, float] = {}
    at = max(range(len(scores)), key=scores.__getitem__, default=-1)
    for number, moves, step in zip(reversed(known), reversed(guesses), reversed(steps), strict=True):
        chosen[number], at = moves[at], step[at]
    return chosen


def _voted_moves(
    cues: Sequence[EditedCue], texts: Sequence[Sequence[str]], spoken: Sequence[str], starts: Sequence[float]
) -> Iterator[list[float]]:
    """Yield for each cue by how many seconds it may move, by the words up to it and by those from it on.

    Where the version has another cut, one of both is right.
    """
    written = [
        (cue.start_ms / 1000 + (cue.end_ms - cue.start_ms) / 1000 * place / len(words), text)
        for cue, words in zip(cues, texts, strict=True)
        for place, text in enumerate(words)
    ]
    votes = _votes(written, spoken, starts)
    times = list(accumulate((at_s for at_s, _ in written), max))  # cues may overlap
    counted = [_Votes(votes) for _ in range(3)]
    for cue in cues:
        start_s, end_s = cue.start_ms / 1000, cue.end_ms / 1000
        parts = (
            (start_s - AROUND_S, end_s),
            (start_s, end_s + AROUND_S),
            (start_s - AROUND_S, end_s + AROUND_S),
        )
        moves = set[float]()
        for count, (first_s, last_s) in zip(counted, parts, strict=True):
            count.slide(bisect_left(times, first_s), bisect_right(times, last_s))
            moves.update(count.winner())
        yield sorted(moves)


def _votes(
    written: Sequence[tuple[float, str]], spoken: Sequence[str], starts: Sequence[float]
) -> list[list[int]]:
    """Return for each written word the steps by which it may move: where it and the next two are spoken."""
    size = max(1, min(VOTING_WORDS, len(written)))
    places: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for at in range(len(spoken) - size + 1):
        places[tuple(spoken[at : at + size])].append(at)
    votes: list[list[int]] = []
    for at, (time_s, _) in enumerate(written):
        alike = places.get(tuple(text for _, text in written[at : at + size]), [])
        steps = {round((starts[place] - time_s) / VOTE_STEP_S) for place in alike[: MOST_ALIKE + 1]}
        votes.append(list(steps) if len(alike) <= MOST_ALIKE else [])
    return votes


class _Votes:
    """The votes of a range of words, which moves on with the cues."""

    def __init__(self, votes: Sequence[Sequence[int]]) -> None:
        self._votes = votes
        self._first = self._last = 0
        self._steps: Counter[int] = Counter()

    def slide(self, first: int, last: int) -> None:
        """Count the words from `first` to before `last`; both only grow."""
        first = max(first, self._first)
        last = max(first, last, self._last)
        for at in range(self._last, last):
            self._steps.update(self._votes[at])
        for at in range(self._first, min(first, self._last)):
            self._steps.subtract(self._votes[at])
        self._first, self._last = first, last
        self._steps = +self._steps

    def winner(self) -> list[float]:
        """Return the movement with most votes, in seconds, if it has enough."""
        likely = [step for step, _ in self._steps.most_common(LIKELY)]
        total = {step: sum(self._steps[step + near] for near in (-1, 0, 1)) for step in likely}
        best = max(total, key=lambda step: (total[step], self._steps[step]), default=0)
        is_enough = total and total[best] >= LEAST_VOTES * (self._last - self._first)
        return [best * VOTE_STEP_S] if is_enough else []


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
        jumps = [
            abs(after - before - self._drift * (late - early)) > SAME_MOVE_MS
            for (early, before), (late, after) in pairwise(known)
        ]
        # A single cue between two jumps lies across a cut.
        cuts = sum(jump and not was for was, jump in pairwise((False, *jumps)))
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
