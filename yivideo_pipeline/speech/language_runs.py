"""Where the language changes within a chunk: stretches, each in one language (ADR 33).

The model is asked about parts of about 3 s, of what it has encoded already. A language may be spoken if a
part is sure of it; then each part belongs to the likeliest of the languages that are spoken, and the
change is put into the pause that suits both sides best. Apart from the recognizer since all but the question
itself is arithmetic.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import log

import numpy as np

from yivideo_pipeline.speech.vad import OFFSET

SHORTEST_S = 3.0
"""Speech of a stretch in another language; less, such as a title or a quotation, is no change."""
SURE = 0.8
"""One part of a stretch has to be that sure. Of 79 parts in five languages none was sure of a wrong language,
nor of 149 in white noise of 10 and 3 dB (base)."""
PART_S = 3.0
PAUSE_S = 0.1
_LEAST = 1e-6  # probability, of which the logarithm is taken
_STEP_S = 0.01  # of the activities

Detect = Callable[[list[tuple[float, float]]], list[dict[str, float]]]
"""Returns the probability of each language in parts of a chunk, given by start and end in seconds."""
Beyond = Callable[[bool], Mapping[str, float]]
"""Returns the probability of each language in the sound after the chunk (True), or before it (False)."""
GoesOn = Callable[[str, bool], bool]
"""Returns whether a language is spoken in the sound after the chunk (True), or before it (False)."""


@dataclass(frozen=True)
class Stretch:
    """A part of a chunk in one language; seconds on the chunk's own clock."""

    start_s: float
    end_s: float
    language: str


@dataclass(frozen=True)
class _Part:
    """A part of the chunk with its seconds of speech and language probabilities."""

    start_s: float
    end_s: float
    speech_s: float
    probabilities: Mapping[str, float]

    @property
    def sure_of(self) -> str | None:
        """The language that is surely spoken, if there is one."""
        return next((code for code, value in self.probabilities.items() if value >= SURE), None)


def narrow(probabilities: Mapping[str, float], languages: Sequence[str]) -> dict[str, float]:
    """Return the probabilities as they are if nothing but these languages, if any, can be spoken."""
    known = {code: probabilities[code] for code in languages if code in probabilities}
    total = sum(known.values())
    return {code: value / total for code, value in known.items()} if total else dict(probabilities)


def find_stretches(
    activity: np.ndarray, usual: str, languages: Sequence[str], detect: Detect, beyond: Beyond
) -> list[Stretch]:
    """Return the stretches of a chunk, in order, without gaps; one where one language is spoken.

    Args:
        activity: Probability of speech, at each 10 ms of the chunk.
        usual: The language of most of the sound.
        languages: Those that may be spoken.
        detect: Asks the model about parts of the chunk.
        beyond: Asks it about the sound beyond the chunk, where a stretch may go on.
    """
    cuts = _pauses(activity)

    def ask(bounds: list[tuple[float, float]]) -> list[_Part]:
        found = [narrow(one, languages) for one in detect(bounds)]
        return [
            _Part(start, end, _speech_s(activity, start, end), one)
            for (start, end), one in zip(bounds, found, strict=True)
        ]

    def goes_on(language: str, after: bool) -> bool:
        return narrow(beyond(after), languages).get(language, 0.0) >= SURE

    parts = ask(list(pairwise(_part_bounds(cuts))))
    spoken = list(dict.fromkeys([usual, *(code for part in parts if (code := part.sure_of))]))
    if len(spoken) == 1:
        return [Stretch(0.0, cuts[-1], usual)]

    def choose(part: _Part) -> str:
        return max(spoken, key=lambda code: part.probabilities.get(code, 0.0))

    runs = [(code, list(group)) for code, group in groupby(parts, key=choose)]
    return _without_short(_cut_in_pauses(runs, cuts, spoken, ask), activity, usual, goes_on)


def _pauses(activity: np.ndarray) -> list[float]:
    """Return where the chunk may be cut: at its ends, in pauses, and in longer speech where it is softest."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], activity < OFFSET, [False]]).astype(np.int8)))
    quiet = edges.reshape(-1, 2)
    middles = [(first + last) // 2 for first, last in quiet if last - first >= PAUSE_S / _STEP_S]
    cuts = [0, *(int(at) for at in middles if 0 < at < len(activity)), len(activity)]
    longest = int(PART_S / _STEP_S)
    at = 0
    while at + 1 < len(cuts):
        first, last = cuts[at], cuts[at + 1]
        if last - first > longest:
            third = (last - first) // 3
            cuts.insert(at + 1, first + third + int(np.argmin(activity[first + third : last - third])))
        else:
            at += 1
    return [cut * _STEP_S for cut in cuts]


def _part_bounds(cuts: Sequence[float]) -> list[float]:
    """Return the cuts that leave parts of at least `PART_S`; a shorter chunk is one part."""
    bounds = [cuts[0]]
    for cut in cuts[1:]:
        if cut - bounds[-1] >= PART_S:
            bounds.append(cut)
    if len(bounds) == 1 or cuts[-1] - bounds[-1] >= PART_S / 2:
        return bounds if bounds[-1] == cuts[-1] else [*bounds, cuts[-1]]
    return [*bounds[:-1], cuts[-1]]


def _speech_s(activity: np.ndarray, start_s: float, end_s: float) -> float:
    inside = activity[round(start_s / _STEP_S) : round(end_s / _STEP_S)]
    return float(np.count_nonzero(inside >= OFFSET)) * _STEP_S


def _cut_in_pauses(
    runs: list[tuple[str, list[_Part]]],
    cuts: Sequence[float],
    spoken: Sequence[str],
    ask: Callable[[list[tuple[float, float]]], list[_Part]],
) -> list[Stretch]:
    """Return the runs as stretches, each change in the pause of the two parts around it that suits best."""
    stretches: list[Stretch] = []
    start_s = 0.0
    for (language, parts), (following, next_parts) in pairwise(runs):
        low, high = max(start_s, parts[-1].start_s), next_parts[0].end_s
        # Neither part goes to the other language as a whole: of two, the model mostly names the first.
        places = [cut for cut in cuts if low < cut < high]
        sides = {cut: ((max(low, cut - PART_S), cut), (cut, min(high, cut + PART_S))) for cut in places}
        found = iter(ask([side for pair in sides.values() for side in pair]))
        fits = {
            cut: _fit(next(found), language, spoken) + _fit(next(found), following, spoken) for cut in sides
        }
        change_s = max(fits, key=lambda cut: fits[cut])
        stretches.append(Stretch(start_s, change_s, language))
        start_s = change_s
    return [*stretches, Stretch(start_s, cuts[-1], runs[-1][0])]


def _fit(part: _Part, language: str, spoken: Sequence[str]) -> float:
    probability = narrow(part.probabilities, spoken).get(language, 0.0)
    return part.speech_s * log(max(probability, _LEAST))


def _without_short(
    stretches: list[Stretch], activity: np.ndarray, usual: str, goes_on: GoesOn
) -> list[Stretch]:
    """Return the stretches with those that are too short given to what is before them, and equal ones joined.

    At an end of the chunk a short one counts as long if it goes on beyond.
    """
    last = len(stretches) - 1

    def is_long(index: int, one: Stretch) -> bool:
        speech_s = _speech_s(activity, one.start_s, one.end_s)
        is_at_edge = (index == 0 and goes_on(one.language, False)) or (
            index == last and goes_on(one.language, True)
        )
        return speech_s >= SHORTEST_S or (speech_s > 0 and is_at_edge)

    kept = [one for index, one in enumerate(stretches) if is_long(index, one)]
    if not kept:
        return [Stretch(0.0, stretches[-1].end_s, usual)]
    firsts = [next(group) for _, group in groupby(kept, key=lambda one: one.language)]
    bounds = [0.0, *(one.start_s for one in firsts[1:]), stretches[-1].end_s]
    return [
        Stretch(start_s, end_s, one.language)
        for one, (start_s, end_s) in zip(firsts, pairwise(bounds), strict=True)
    ]
