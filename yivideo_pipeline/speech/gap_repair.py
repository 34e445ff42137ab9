"""Gap repair: decodes speech again, span by span, where words are missing, stretched or repeated.

A decoder sometimes skips a phrase, mostly a softer voice's, or ends a repetition early or late; the words
around it are then stretched over speech that is not theirs. The detector's spans decide: each one in doubt
is decoded by itself, as is one on either side, and what is heard there corrects the words and their times
(`weaving`). Apart from the engine since it works on words alone, without a model.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from yivideo_pipeline.speech.align.text import spoken_characters
from yivideo_pipeline.speech.assemble import SpokenWord
from yivideo_pipeline.speech.chunks import WINDOW_S, Chunk, pad_spans
from yivideo_pipeline.speech.types import Span, Word, uncovered_parts

Interval = tuple[float, float]

MIN_UNCOVERED_S = 1.5  # inside a span that has words
MARGIN_S = 0.2
LONGEST_WORD_S = 1.2  # of any word, plus LONGEST_LETTER_S for each letter: slow speech stays below
LONGEST_LETTER_S = 0.1
MAX_WHOLE_S = 10.0  # of a longer span only the part in doubt is decoded again
# A decoder that skips a phrase gives its time to the words around it, 1 to 2 s each.
SLOW_WORD_S = 0.4
SLOW_LETTER_S = 0.1
USUAL_WORD_S = 0.1
USUAL_LETTER_S = 0.07
DIGIT_LETTERS = 5
MIN_SPARE_S = 0.7  # in a run of slow words
MIN_THIN_S = 0.5  # in a span that has too few words
LEAST_DENSITY = 0.5  # slow speakers' spans stay above it: 26 clips of seven voices
TIMES_REPEATED = 3
LONGEST_REPEATED = 12  # words


@dataclass(frozen=True)
class Unit:
    """A part of the speech that is decoded by itself; the words between its times belong to it.

    `chunk` is the sound that is read, `closer` another cut with less sound around the speech.
    """

    start_s: float
    end_s: float
    chunk: Chunk
    closer: Chunk

    def has(self, word: Word) -> bool:
        """Return whether a word's middle lies in this part."""
        return self.start_s <= middle_of(word) <= self.end_s


Repair = tuple[Unit, ...]
"""Neighbouring parts of the speech, in order, whose words are in doubt."""


def find_worthwhile(spans: tuple[Span, ...], refused: list[Chunk]) -> tuple[Span, ...]:
    """Return the spans without those that are in vain to read again: the model has heard no speech there.

    In a long chunk of several spans a soft voice may be lost among other sounds.
    """
    vain: set[Span] = set()
    for chunk in refused:
        inside = [span for span in spans if is_inside(span, chunk)]
        if chunk.duration_s < WINDOW_S / 2 or len(inside) == 1:
            vain.update(inside)
    return tuple(span for span in spans if span not in vain)


def is_inside(part: Span | Unit, chunk: Chunk) -> bool:
    """Return whether a part of the sound lies between a chunk's ends."""
    return chunk.start_s <= (part.start_s + part.end_s) / 2 <= chunk.end_s


def plan_repairs(spoken: list[SpokenWord], spans: tuple[Span, ...], duration_s: float) -> list[Repair]:
    """Return what to decode again, in order; times on the sound's own clock.

    Args:
        spoken: The words so far, in order.
        spans: The intervals of the voice activity detector, in order.
        duration_s: Length of the sound.
    """
    doubts = list(_doubts([item.word for item in spoken], spans))
    doubted = [[part for part in doubts if part[0] < span.end_s and span.start_s < part[1]] for span in spans]
    repairs: list[Repair] = []
    joins = False  # whether the next span belongs to the last repair
    for index, (span, padded) in enumerate(zip(spans, pad_spans(spans, duration_s), strict=True)):
        if not any(doubted[max(0, index - 1) : index + 2]):
            joins = False
        elif span.end_s - span.start_s > MAX_WHOLE_S:
            repairs += [(unit,) for unit in _cut_out(span, doubted[index], spoken)]
            joins = False
        else:
            unit = Unit(padded.start_s, padded.end_s, Chunk((padded,)), Chunk((_between(span, padded),)))
            repairs = [*repairs[:-1], (*repairs[-1], unit)] if joins else [*repairs, (unit,)]
            joins = True
    return repairs


def languages_near(spoken: list[SpokenWord], units: list[Unit], usual: str) -> list[str]:
    """Return the language of the word nearest to each part; the usual one where there are no words."""
    starts = [item.word.start_s for item in spoken]

    def near(unit: Unit) -> str:
        middle_s = (unit.start_s + unit.end_s) / 2
        after = bisect_left(starts, middle_s)
        around = spoken[max(0, after - 1) : after + 1]
        nearest = min(around, key=lambda item: abs(middle_of(item.word) - middle_s), default=None)
        return nearest.passage.language if nearest else usual

    return [near(unit) for unit in units]


def plan_gap_repairs(spoken: list[SpokenWord], spans: tuple[Span, ...], tried: list[Unit]) -> list[Repair]:
    """Return what still has no words in the parts that were decoded again (`tried`), each gap by itself.

    A second reading skips the same phrase if it begins alike. Other arguments as for `plan_repairs`.
    """
    gaps = [
        gap
        for span, near in _words_near([item.word for item in spoken], spans)
        for gap in _gaps(span, near)
        if any(_is_part(gap, unit) for unit in tried)
    ]
    return [(_unit(start, min(end, start + WINDOW_S - 1)),) for start, end in gaps]


def _is_part(gap: Interval, unit: Unit) -> bool:
    """Return whether a gap lies in a part that was decoded again, and is clearly shorter than that."""
    inside_s = min(gap[1], unit.end_s) - max(gap[0], unit.start_s)
    return inside_s > (gap[1] - gap[0]) / 2 and gap[1] - gap[0] < unit.end_s - unit.start_s - MIN_UNCOVERED_S


def _unit(start_s: float, end_s: float) -> Unit:
    """Return a part of the speech as it is decoded by itself, with a margin."""
    cuts = [
        Chunk((Span(start_s=max(0.0, start_s - margin), end_s=end_s + margin),))
        for margin in (MARGIN_S, MARGIN_S / 2)
    ]
    return Unit(start_s, end_s, *cuts)


def _between(one: Span, other: Span) -> Span:
    return Span(start_s=(one.start_s + other.start_s) / 2, end_s=(one.end_s + other.end_s) / 2)


def _cut_out(span: Span, doubts: list[Interval], spoken: list[SpokenWord]) -> list[Unit]:
    """Return the parts of a long span that are in doubt, each with a word on either side."""
    units = []
    for first, last in _join(sorted(doubts)):
        before = [item.word.start_s for item in spoken if item.word.end_s <= first]
        after = [item.word.end_s for item in spoken if item.word.start_s >= last]
        start = max(span.start_s, before[-1] if before else first)
        end = min(span.end_s, after[0] if after else last, start + WINDOW_S - 1)
        units.append(_unit(start, end))
    return units


def _doubts(words: list[Word], spans: tuple[Span, ...]) -> Iterator[Interval]:
    """Yield the intervals in which words may be missing, stretched, or repeated by the decoder alone."""
    for span, near in _words_near(words, spans):
        if _is_thin(span, [word for word in near if span.start_s <= middle_of(word) <= span.end_s]):
            yield span.start_s, span.end_s
        yield from _gaps(span, near)
    yield from _slow_runs(words)
    for start, end in _repetitions(words):
        if sum(start < span.end_s and span.start_s < end for span in spans) > 1:
            yield start, end


def _words_near(words: list[Word], spans: tuple[Span, ...]) -> Iterator[tuple[Span, list[Word]]]:
    """Yield each span with the words around it: of ten hours, too, only those are looked at."""
    starts = [word.start_s for word in words]
    longest_s = max((word.end_s - word.start_s for word in words), default=0.0)
    for span in spans:
        yield span, words[bisect_left(starts, span.start_s - longest_s) : bisect_right(starts, span.end_s)]


def _gaps(span: Span, near: list[Word]) -> list[Interval]:
    """Return the parts of a span, long enough for a phrase, that no word covers."""
    covered = [(word.start_s, _credible_end(word)) for word in near]
    return [part for part in uncovered_parts(span, covered) if part[1] - part[0] >= MIN_UNCOVERED_S]


def _slow_runs(words: list[Word]) -> Iterator[Interval]:
    """Yield runs of words so slow that other words must be missing among them.

    Two slow words with one between them belong together: the alignment gets one right by chance.
    """
    slow = [index for index, word in enumerate(words) if _is_slow(word)]
    runs: list[tuple[int, int]] = []
    for index in slow:
        if runs and index - runs[-1][1] <= 2:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    for first, last in runs:
        if _spare_s(words[first : last + 1]) >= MIN_SPARE_S:
            yield words[first].start_s, words[last].end_s


def _repetitions(words: list[Word]) -> Iterator[Interval]:
    """Yield where the same words follow each other several times: how often was it really?"""
    texts = [spoken_characters(word.text) for word in words]
    at = 0
    while at < len(words):
        for size in range(1, LONGEST_REPEATED + 1):
            phrase, end = texts[at : at + size], at + size
            while texts[end : end + size] == phrase:
                end += size
            if end - at >= TIMES_REPEATED * size and len("".join(phrase)) > size:
                yield words[at].start_s, words[end - 1].end_s
                at = end - 1
                break
        at += 1


def _is_thin(span: Span, words: list[Word]) -> bool:
    """Return whether a span's words, if it has any, usually take less than half of its time."""
    length_s, usual_s = span.end_s - span.start_s, sum(map(_usual_s, words))
    return usual_s < LEAST_DENSITY * length_s and length_s - usual_s >= MIN_THIN_S


def _is_slow(word: Word) -> bool:
    return word.end_s - word.start_s > SLOW_WORD_S + SLOW_LETTER_S * spoken_length(word)


def _spare_s(run: list[Word]) -> float:
    """Return how much longer the words take than words usually do."""
    return sum(word.end_s - word.start_s - _usual_s(word) for word in run)


def _usual_s(word: Word) -> float:
    return USUAL_WORD_S + USUAL_LETTER_S * spoken_length(word)


def spoken_length(word: Word) -> int:
    """Return the number of letters of a word; a digit takes as long as about five."""
    return sum(DIGIT_LETTERS if char.isdigit() else 1 for char in spoken_characters(word.text))


def _join(intervals: list[Interval]) -> list[Interval]:
    """Merge intervals, which are in order, that overlap or nearly touch."""
    joined: list[Interval] = []
    for start, end in intervals:
        if joined and start - joined[-1][1] < 2 * MARGIN_S:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _credible_end(word: Word) -> float:
    letters = len(spoken_characters(word.text))
    return min(word.end_s, word.start_s + LONGEST_WORD_S + LONGEST_LETTER_S * letters)


def middle_of(word: Word) -> float:
    """Return the time by which a word belongs to a part."""
    return (word.start_s + word.end_s) / 2
