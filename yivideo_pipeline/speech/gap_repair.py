"""Gap repair: decodes speech again that the detector found and no word covers.

A decoder sometimes ends early or skips a phrase; the words around it are then stretched over speech
that is not theirs. Such gaps become chunks of their own, and their words are inserted where the model
is sure of them and they repeat nothing. Apart from the engine since it works on words alone, without a model.
"""

from difflib import SequenceMatcher

from yivideo_pipeline.speech.align.text import spoken_characters
from yivideo_pipeline.speech.assemble import SpokenWord
from yivideo_pipeline.speech.chunks import WINDOW_S, Chunk
from yivideo_pipeline.speech.types import Span, Word

MIN_UNCOVERED_S = 1.5
MARGIN_S = 0.2
LONGEST_WORD_S = 1.2  # of any word, plus LONGEST_LETTER_S for each letter: slow speech stays below
LONGEST_LETTER_S = 0.1
SURE_LOGPROB = -0.8
# A decoder that skips a phrase gives its time to the words around it, 1 to 2 s each.
SLOW_WORD_S = 0.4
SLOW_LETTER_S = 0.1
USUAL_WORD_S = 0.1
USUAL_LETTER_S = 0.07
DIGIT_LETTERS = 5
MIN_SPARE_S = 0.7  # in a run of slow words
SAME_SHARE = 0.7  # of the old words, which a repair must repeat in order to replace them
NEIGHBOURS = 8  # words on either side in which a repetition is looked for


def plan_repairs(spoken: list[SpokenWord], spans: tuple[Span, ...]) -> list[Chunk]:
    """Return chunks of the speech that no word covers, in order; times on the sound's own clock."""
    covered = [(item.word.start_s, _credible_end(item.word)) for item in spoken]
    bare = [part for span in spans for part in _uncovered(span, covered) if _length(part) >= MIN_UNCOVERED_S]
    return [
        Chunk((Span(start_s=max(0.0, start - MARGIN_S), end_s=min(end, start + WINDOW_S - 1) + MARGIN_S),))
        for start, end in _join(sorted(bare + _slow_runs([item.word for item in spoken])))
    ]


def _slow_runs(words: list[Word]) -> list[tuple[float, float]]:
    """Return runs of words so slow that other words must be missing among them, with a word on each side.

    Two slow words with one between them belong together: the alignment gets one right by chance.
    """
    slow = [index for index, word in enumerate(words) if _is_slow(word)]
    runs: list[tuple[int, int]] = []
    for index in slow:
        if runs and index - runs[-1][1] <= 2:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return [
        (words[max(0, first - 1)].start_s, words[min(len(words) - 1, last + 1)].end_s)
        for first, last in runs
        if _spare_s(words[first : last + 1]) >= MIN_SPARE_S
    ]


def _is_slow(word: Word) -> bool:
    return word.end_s - word.start_s > SLOW_WORD_S + SLOW_LETTER_S * _spoken_length(word)


def _spare_s(run: list[Word]) -> float:
    """Return how much longer the words take than words usually do."""
    usual = sum(USUAL_WORD_S + USUAL_LETTER_S * _spoken_length(word) for word in run)
    return sum(word.end_s - word.start_s for word in run) - usual


def _spoken_length(word: Word) -> int:
    """Return the number of letters of a word; a digit takes as long as about five."""
    return sum(DIGIT_LETTERS if char.isdigit() else 1 for char in spoken_characters(word.text))


def _length(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def _join(intervals: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Merge intervals, which are in order, that overlap or nearly touch."""
    joined: list[tuple[float, float]] = []
    for start, end in intervals:
        if joined and start - joined[-1][1] < 2 * MARGIN_S:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _credible_end(word: Word) -> float:
    letters = len(spoken_characters(word.text))
    return min(word.end_s, word.start_s + LONGEST_WORD_S + LONGEST_LETTER_S * letters)


def _uncovered(span: Span, covered: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the parts of a span outside the covered intervals, which are in order."""
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
    """Insert repaired words among the others; a word stretched over them is shortened."""
    merged = spoken
    for repair in repairs:
        if repair and repair[0].passage.avg_logprob >= SURE_LOGPROB:
            merged = _insert(merged, repair)
    return merged


def _insert(spoken: list[SpokenWord], repair: list[SpokenWord]) -> list[SpokenWord]:
    """Insert what is new in a repair; leave the text unchanged where that is uncertain."""
    chunk = repair[0].passage.chunk
    start, end = chunk.start_s + MARGIN_S, chunk.end_s - MARGIN_S
    inside = [item for item in spoken if start <= _middle(item.word) <= end]
    if len(inside) > 1:  # one alone may just be stretched over the gap
        before = [item for item in spoken if _middle(item.word) < start]
        after = [item for item in spoken if _middle(item.word) > end]
        return _replace(before, inside, after, repair) or spoken
    return _fill(spoken, repair)


def _fill(spoken: list[SpokenWord], repair: list[SpokenWord]) -> list[SpokenWord]:
    """Insert a repair's words into the gap that it was made for."""
    new = [item for item in repair if not _is_covered(item.word, spoken)]
    if not new:
        return spoken
    start = new[0].word.start_s
    before = [item for item in spoken if item.word.start_s < start]
    after = [item for item in spoken if item.word.start_s >= start]
    new = _without_neighbours(new, before, after)
    if not new or _repeats(new, before[-NEIGHBOURS:] + after[:NEIGHBOURS]):
        return spoken
    if after and after[0].word.start_s < new[-1].word.start_s:
        return spoken  # other words are timed inside the gap
    if before and before[-1].word.end_s > new[0].word.start_s:
        before[-1] = _moved(before[-1], end_s=new[0].word.start_s)
    return before + new + after


def _replace(
    before: list[SpokenWord], inside: list[SpokenWord], after: list[SpokenWord], repair: list[SpokenWord]
) -> list[SpokenWord] | None:
    """Replace words by a repair that repeats them among others; None where it does not repeat them."""
    new = _without_neighbours(repair, before, after)
    while new and after and _middle(new[-1].word) > after[0].word.start_s:
        new.pop()  # part of a word at the end of the chunk
    if len(new) <= len(inside):
        return None
    matcher = SequenceMatcher(a=_plain(inside), b=_plain(new), autojunk=False)
    if sum(block.size for block in matcher.get_matching_blocks()) < SAME_SHARE * len(inside):
        return None
    if before:
        start = before[-1].word.start_s
        if new[0].word.start_s < start - MARGIN_S:
            return None
        new[0] = _moved(new[0], start_s=max(new[0].word.start_s, start))
        before[-1] = _moved(before[-1], end_s=min(before[-1].word.end_s, new[0].word.start_s))
    return before + new + after


def _moved(item: SpokenWord, **times: float) -> SpokenWord:
    return SpokenWord(item.word.model_copy(update=times), item.passage)


def _middle(word: Word) -> float:
    return (word.start_s + word.end_s) / 2


def _is_covered(word: Word, spoken: list[SpokenWord]) -> bool:
    """Return whether another word covers the word's middle: margins contain parts of the neighbours."""
    middle = _middle(word)
    return any(item.word.start_s <= middle < _credible_end(item.word) for item in spoken)


def _without_neighbours(
    new: list[SpokenWord], before: list[SpokenWord], after: list[SpokenWord]
) -> list[SpokenWord]:
    """Drop the words at both ends that the neighbours already have."""
    texts, left, right = (_plain(items) for items in (new, before[-NEIGHBOURS:], after[:NEIGHBOURS]))
    first = max(count for count in range(len(new) + 1) if texts[:count] == left[len(left) - count :])
    last = max(count for count in range(len(new) - first + 1) if texts[len(texts) - count :] == right[:count])
    return new[first : len(new) - last]


def _plain(items: list[SpokenWord]) -> list[str]:
    return [spoken_characters(item.word.text) for item in items]


def _repeats(repair: list[SpokenWord], around: list[SpokenWord]) -> bool:
    return f" {' '.join(_plain(repair))} " in f" {' '.join(_plain(around))} "
