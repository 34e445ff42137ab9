"""No speech lost: stretches that the detector heard and no word covers are decoded again.

A decoder now and then ends early or skips a phrase; the words around it are then stretched over
speech that is not theirs. Such stretches become chunks of their own, and what comes of them is
taken where the model is sure and it says nothing that is there already.
"""

from yivideo_pipeline.speech.assemble import SpokenWord
from yivideo_pipeline.speech.chunks import WINDOW_S, Chunk
from yivideo_pipeline.speech.types import Span, Word
from yivideo_pipeline.speech.words import spoken_characters

MIN_UNCOVERED_S = 1.5
MARGIN_S = 0.2
LONGEST_WORD_S = 1.2  # of any word, plus LONGEST_LETTER_S for each letter: slow speech still passes
LONGEST_LETTER_S = 0.1
SURE_LOGPROB = -0.8
NEIGHBOURS = 8  # words on either side in which a repetition is looked for


def plan_repairs(spoken: list[SpokenWord], spans: tuple[Span, ...]) -> list[Chunk]:
    """Chunks of speech that no word covers, in order; times on the sound's own clock."""
    covered = [(item.word.start_s, _credible_end(item.word)) for item in spoken]
    return [
        Chunk((Span(start_s=max(0.0, start - MARGIN_S), end_s=min(end, start + WINDOW_S - 1) + MARGIN_S),))
        for span in spans
        for start, end in _uncovered(span, covered)
        if end - start >= MIN_UNCOVERED_S
    ]


def _credible_end(word: Word) -> float:
    letters = len(spoken_characters(word.text))
    return min(word.end_s, word.start_s + LONGEST_WORD_S + LONGEST_LETTER_S * letters)


def _uncovered(span: Span, covered: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The parts of a span outside the covered intervals, which are in order."""
    gaps, position = [], span.start_s
    for start, end in covered:
        if end <= position or start >= span.end_s:
            continue
        if start > position:
            gaps.append((position, start))
        position = max(position, end)
    if position < span.end_s:
        gaps.append((position, span.end_s))
    return gaps


def insert_repairs(spoken: list[SpokenWord], repairs: list[list[SpokenWord]]) -> list[SpokenWord]:
    """Put repaired words among the others; a word stretched over them gives way."""
    merged = spoken
    for repair in repairs:
        if repair and repair[0].passage.avg_logprob >= SURE_LOGPROB:
            merged = _insert(merged, repair)
    return merged


def _insert(spoken: list[SpokenWord], repair: list[SpokenWord]) -> list[SpokenWord]:
    """Insert what is new in a repair; leave the text as it was where that can't be told."""
    new = [item for item in repair if not _is_covered(item.word, spoken)]
    if not new:
        return spoken
    start = new[0].word.start_s
    before = [item for item in spoken if item.word.start_s < start]
    behind = [item for item in spoken if item.word.start_s >= start]
    new = _without_edges(new, before, behind)
    if not new or _repeats(new, before[-NEIGHBOURS:] + behind[:NEIGHBOURS]):
        return spoken
    if behind and behind[0].word.start_s < new[-1].word.start_s:
        return spoken  # words were timed inside after all
    if before and before[-1].word.end_s > new[0].word.start_s:
        shortened = before[-1].word.model_copy(update={"end_s": new[0].word.start_s})
        before[-1] = SpokenWord(shortened, before[-1].passage)
    return before + new + behind


def _is_covered(word: Word, spoken: list[SpokenWord]) -> bool:
    """Whether another word was said at the word's middle: the margins hold the neighbours' edges."""
    middle = (word.start_s + word.end_s) / 2
    return any(item.word.start_s <= middle < _credible_end(item.word) for item in spoken)


def _without_edges(
    new: list[SpokenWord], before: list[SpokenWord], behind: list[SpokenWord]
) -> list[SpokenWord]:
    """Drop from both ends the words that the neighbours say already."""
    said, left, right = (_said(items) for items in (new, before[-NEIGHBOURS:], behind[:NEIGHBOURS]))
    first = max(count for count in range(len(new) + 1) if said[:count] == left[len(left) - count :])
    last = max(count for count in range(len(new) - first + 1) if said[len(said) - count :] == right[:count])
    return new[first : len(new) - last]


def _said(items: list[SpokenWord]) -> list[str]:
    return [spoken_characters(item.word.text) for item in items]


def _repeats(repair: list[SpokenWord], around: list[SpokenWord]) -> bool:
    return f" {' '.join(_said(repair))} " in f" {' '.join(_said(around))} "
