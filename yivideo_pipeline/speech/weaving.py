"""Weaving: corrects words by what was heard when a part of the speech was decoded again (`gap_repair`).

A part that is read by itself gives better times and words that were skipped; the first reading has more of
the text around it. Of both the likelier stays.
"""

from difflib import SequenceMatcher
from math import prod

from yivideo_pipeline.speech.align.text import spoken_characters
from yivideo_pipeline.speech.assemble import SpokenWord
from yivideo_pipeline.speech.gap_repair import MARGIN_S, Repair, Unit, middle_of, spoken_length

LEAST_LOGPROB = -0.8
SURE_LOGPROB = -0.4
FASTEST_LETTER_S = 0.03
LEAST_CONFIDENCE = 0.4  # of a word that a second reading lacks; right words are seldom below
SAME_SOUND = 0.6  # likeness of the letters


def is_heard(words: list[SpokenWord]) -> bool:
    """Return whether a part was heard well enough for its words to count."""
    return _likelihood(words) >= LEAST_LOGPROB


def is_sure_of(words: list[SpokenWord]) -> bool:
    """Return whether a part was heard so well that another cut will not do better."""
    return _likelihood(words) >= SURE_LOGPROB


def choose_heard(one: list[SpokenWord], other: list[SpokenWord]) -> list[SpokenWord]:
    """Return the likelier of two readings of one part."""
    return max(one, other, key=_likelihood)


def _likelihood(words: list[SpokenWord]) -> float:
    return words[0].passage.avg_logprob if words else float("-inf")


def apply_repair(spoken: list[SpokenWord], repair: Repair, heard: list[list[SpokenWord]]) -> list[SpokenWord]:
    """Return the words, which are in order, with those of a repair corrected by what was heard in each part.

    Words outside the repair stay. A word inside that was not heard again stays where there is time for
    it; none is left stretched over a part without words.
    """
    first, last = repair[0].start_s, repair[-1].end_s
    before = [item for item in spoken if middle_of(item.word) < first]
    inside = [item for item in spoken if first <= middle_of(item.word) <= last]
    after = [item for item in spoken if middle_of(item.word) > last]
    new = [
        item
        for unit, words in zip(repair, heard, strict=True)
        if is_heard(words)
        for item in words
        if unit.has(item.word)
    ]
    new = _without_neighbours(new, before, after)
    woven = _weave(inside, new) if new else inside
    silent = [unit for unit in repair if not any(unit.has(item.word) for item in woven)]
    cleared = [_clear(item, silent) for item in [*before, *woven, *after]]
    return sorted(cleared, key=lambda item: item.word.start_s)


def _weave(old: list[SpokenWord], new: list[SpokenWord]) -> list[SpokenWord]:
    """Return the new words with what the old ones have better: their text, read with all that is around."""
    woven: list[SpokenWord] = []
    matcher = SequenceMatcher(a=_plain(old), b=_plain(new), autojunk=False)
    equal = (0, 0)  # where the equal words before begin
    for kind, a, a_end, b, b_end in matcher.get_opcodes():
        if kind == "delete":
            room_to = new[b].word.start_s if b < len(new) else old[-1].word.end_s
            kept = _squeeze(old[a:a_end], new[b - 1].word.end_s if b else old[0].word.start_s, room_to)
            first, first_b = equal
            if not kept and _is_lost(old[a:a_end], old[first:a], new[first_b:b], new):
                is_free = not first_b or new[first_b - 1].word.end_s <= old[first].word.start_s
                kept = _squeeze(old[a:a_end], old[a - 1].word.end_s, room_to) if is_free else []
                woven = [*woven[: first_b - b], *old[first:a]] if kept else woven
            woven += kept
        elif kind == "replace":
            woven += _choose_text(old[a:a_end], new[b:b_end])
        elif kind == "equal":
            equal = (a, b)
            woven.append(new[b])
            woven += [
                _timed_as(*pair) for pair in zip(old[a + 1 : a_end - 1], new[b + 1 : b_end - 1], strict=True)
            ]
            woven += new[b + 1 : b_end][-1:]
        else:
            woven += new[b:b_end]
    return woven


def _is_lost(
    words: list[SpokenWord], old: list[SpokenWord], again: list[SpokenWord], new: list[SpokenWord]
) -> bool:
    """Return whether the second reading has lost words, rather than the first invented them.

    It has if the first is surer of the words before them, which both have (`old`, `again`), and quite sure of
    them. A word that the second has elsewhere may have been repeated by the decoder.
    """
    is_surer = sum(one.word.confidence for one in old) > sum(one.word.confidence for one in again)
    is_sure = all(one.word.confidence >= LEAST_CONFIDENCE for one in words)
    return is_surer and is_sure and not set(_plain(words)) & set(_plain(new))


def _choose_text(old: list[SpokenWord], new: list[SpokenWord]) -> list[SpokenWord]:
    """Return the likelier of two readings of one sound, in the new one's time; of two sounds the new one.

    Of more words ("here are" for "here's") each has to be true: their confidences are multiplied.
    """
    weigh = sum if len(old) == len(new) else prod
    is_surer = weigh(one.word.confidence for one in old) > weigh(one.word.confidence for one in new)
    if is_surer and len(old) == len(new):
        return [_timed_as(*pair) for pair in zip(old, new, strict=True)]
    alike = SequenceMatcher(None, *("".join(_plain(words)) for words in (old, new)), autojunk=False).ratio()
    kept = _squeeze(old, new[0].word.start_s, new[-1].word.end_s) if is_surer and alike > SAME_SOUND else []
    return kept or new


def _squeeze(items: list[SpokenWord], start_s: float, end_s: float) -> list[SpokenWord]:
    """Return words limited to the time between two others; none where there is too little for them."""
    limited = [
        _moved(item, start_s=max(item.word.start_s, start_s), end_s=min(item.word.end_s, end_s))
        for item in items
    ]
    is_room = all(
        item.word.end_s - item.word.start_s >= FASTEST_LETTER_S * spoken_length(item.word) for item in limited
    )
    return limited if is_room else []


def _timed_as(item: SpokenWord, other: SpokenWord) -> SpokenWord:
    return _moved(item, start_s=other.word.start_s, end_s=other.word.end_s)


def _clear(item: SpokenWord, silent: list[Unit]) -> SpokenWord:
    """End a word before a part without words, or begin it behind: whichever keeps its middle."""
    for unit in silent:
        if unit.start_s < item.word.end_s and item.word.start_s < unit.end_s:
            is_before = middle_of(item.word) < unit.start_s
            item = _moved(item, **({"end_s": unit.start_s} if is_before else {"start_s": unit.end_s}))
    return item


def _without_neighbours(
    new: list[SpokenWord], before: list[SpokenWord], after: list[SpokenWord]
) -> list[SpokenWord]:
    """Drop a word at either end that the neighbour beside it already is."""
    if new and before and _is_same(new[0], before[-1]):
        new = new[1:]
    if new and after and _is_same(new[-1], after[0]):
        new = new[:-1]
    return new


def _is_same(one: SpokenWord, other: SpokenWord) -> bool:
    """Return whether two readings are of one word: alike, and at the same time."""
    apart_s = max(one.word.start_s, other.word.start_s) - min(one.word.end_s, other.word.end_s)
    return apart_s < MARGIN_S and _plain([one]) == _plain([other])


def _moved(item: SpokenWord, **times: float) -> SpokenWord:
    return SpokenWord(item.word.model_copy(update=times), item.passage)


def _plain(items: list[SpokenWord]) -> list[str]:
    return [spoken_characters(item.word.text) for item in items]
