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
        if not repair or repair[0].passage.avg_logprob < SURE_LOGPROB:
            continue
        start, end = repair[0].word.start_s, repair[-1].word.end_s
        before = [item for item in merged if item.word.start_s < start]
        behind = [item for item in merged if item.word.start_s >= start]
        if _repeats(repair, before[-NEIGHBOURS:] + behind[:NEIGHBOURS]):
            continue
        if before and before[-1].word.end_s > start:
            shortened = before[-1].word.model_copy(update={"end_s": start})
            before[-1] = SpokenWord(shortened, before[-1].passage)
        kept = [item for item in behind if item.word.end_s <= start or item.word.start_s >= end]
        if len(kept) < len(behind):
            continue  # words were timed inside after all: leave the text as it was
        merged = before + repair + behind
    return merged


def _repeats(repair: list[SpokenWord], around: list[SpokenWord]) -> bool:
    said = " ".join(spoken_characters(item.word.text) for item in repair)
    nearby = " ".join(spoken_characters(item.word.text) for item in around)
    return f" {said} " in f" {nearby} "
