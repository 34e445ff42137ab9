"""The cost of ending a line or cue between two tokens: 0 at the end of a sentence, 8 inside a phrase."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from yivideo_pipeline.subtitles.grammar import Grammar
from yivideo_pipeline.subtitles.tokens import Token, is_spaceless
from yivideo_pipeline.subtitles.unspaced import inside_phrases, inside_words

SENTENCE_COST = 0.0
CLAUSE_COST = 0.6
CONJUNCTION_COST = 1.0
PREPOSITION_COST = 1.6
PLAIN_COST = 3.0
NAME_COST = 5.0
PHRASE_COST = 8.0

PAUSE_RELIEF = 0.7
FULL_RELIEF_PAUSE_MS = 600
"""A pause of this length reduces the cost of a break in it by `PAUSE_RELIEF`."""

_SENTENCE_ENDS = frozenset(".!?…。！？．؟۔।")
_CLAUSE_ENDS = frozenset(",;:–—、，；：،؛")
_MARKS = ".,!?…;:\"'()[]«»“”‘’¿¡，。、！？；：（）「」『』《》〈〉【】〔〕。။၊។៕"
_CLOSERS = "\"')]}’”»）〕］｝〉》」』】"


@dataclass(frozen=True, slots=True)
class Break:
    """The place before a token: its cost, its pause, and whether a sentence has just ended."""

    cost: float
    pause_ms: int
    ends_sentence: bool


def rate_breaks(tokens: Sequence[Token], grammar: Grammar) -> list[Break]:
    """Rate the place before each token; that before the first token costs nothing."""
    breaks = [Break(SENTENCE_COST, 0, True)]
    latest_end_ms = 0
    for index in range(1, len(tokens)):
        before, after = tokens[index - 1], tokens[index]
        latest_end_ms = max(latest_end_ms, before.end_ms)
        pause_ms = max(0, after.start_ms - latest_end_ms)
        cost = _text_cost(before, after, grammar)
        relief = PAUSE_RELIEF * min(1.0, pause_ms / FULL_RELIEF_PAUSE_MS)
        ended = bool(after.words) and ends_sentence(before.text, after.text, grammar)
        breaks.append(Break(cost * (1 - relief), pause_ms, ended))
    return breaks


def ends_sentence(text: str, following: str, grammar: Grammar) -> bool:
    """Return whether a sentence ends with a token; `Dr.`, `J.` and `...` before a small letter end none."""
    bare = text.rstrip(_CLOSERS)
    if not bare or bare[-1] not in _SENTENCE_ENDS:
        return False
    if bare[-1] not in ".…":
        return True
    if following.lstrip("\"'([«“‘¿¡")[:1].islower():
        return False
    stem = _key(bare)
    initial = len(stem) == 1 and stem.isalpha() and stem != "i"
    return bare.endswith("…") or not (stem in grammar.abbreviations or initial)


def is_inside_word(before: str, after: str) -> bool:
    """Return whether a break between two texts tears a word; in scripts with spaces, one without a hyphen."""
    if is_spaceless(before[-1]) and is_spaceless(after[0]):
        return len(before) in inside_words(before + after)
    return False


def is_inside_phrase(before: str, after: str, grammar: Grammar) -> bool:
    """Return whether a break parts what belongs together: article and noun, a name, number and unit."""
    if is_spaceless(before[-1]) or is_spaceless(after[0]):
        return len(before) in inside_phrases(before + after)
    left, right = before.split()[-1], after.split()[0]
    last = left.rstrip(_CLOSERS)[-1:]
    if last in _CLAUSE_ENDS or ends_sentence(left, right, grammar):
        return False
    return _spaced_cost(left, right, grammar) >= NAME_COST


def _text_cost(before: Token, after: Token, grammar: Grammar) -> float:
    if not after.words:
        return PLAIN_COST
    if ends_sentence(before.text, after.text, grammar):
        return SENTENCE_COST
    last = before.text.rstrip(_CLOSERS)[-1:]
    if last and last in _CLAUSE_ENDS:
        return CLAUSE_COST
    if not after.spaced and (is_spaceless(before.text[-1]) or is_spaceless(after.text[0])):
        return _spaceless_cost(before.text, after.text, grammar)
    return _spaced_cost(before.text, after.text, grammar)


def _spaced_cost(before: str, after: str, grammar: Grammar) -> float:
    left, right = _key(before), _key(after)
    if left in grammar.clinging | grammar.prepositions | grammar.conjunctions or right in grammar.trailing:
        return PHRASE_COST
    if left in grammar.abbreviations and before.endswith("."):
        return PHRASE_COST
    if right in grammar.conjunctions:
        return CONJUNCTION_COST
    if right in grammar.prepositions:
        return PREPOSITION_COST
    named = before[0].isupper() and after[0].isupper() and len(right) > 1
    return NAME_COST if named or left.isdigit() else PLAIN_COST


def _spaceless_cost(before: str, after: str, grammar: Grammar) -> float:
    """Return the cost between words written without spaces, by function words and changes of script."""
    left, right = _key(before), _key(after)
    holds = left in grammar.clinging | grammar.prepositions | grammar.conjunctions
    if holds or right in grammar.trailing or before[-1].isdigit():
        return PHRASE_COST
    if right.startswith(grammar.openings):
        return CONJUNCTION_COST
    if right in grammar.prepositions:
        return PREPOSITION_COST
    if _is_lone_han(left, grammar) or _is_lone_han(right, grammar):
        return NAME_COST
    return _kana_cost(before[-1], after[0])


def _is_lone_han(word: str, grammar: Grammar) -> bool:
    """Return whether a word is one Chinese character that is no function word.

    It mostly belongs to the word beside it, of which the dictionary knows a part: 数据·集, 达摩·院, 习·近平.
    """
    return len(word) == 1 and _kana(word) == "CJK" and word not in grammar.clinging | grammar.trailing


def _kana_cost(last: str, first: str) -> float:
    """Return the cost by kana: Japanese phrases end in hiragana, and kanji or katakana begin the next one.

    The particle を ends a phrase whatever follows.
    """
    left, right = _kana(last), _kana(first)
    if last == "を" or (left == "HIRAGANA" and right != "HIRAGANA"):
        return PREPOSITION_COST
    if right == "HIRAGANA" or left == right == "KATAKANA":
        return NAME_COST
    return PLAIN_COST


def _kana(char: str) -> str:
    return unicodedata.name(char, "").split(" ")[0].split("-")[0]


def _key(text: str) -> str:
    """Return a token as the word lists have it: lower case, without punctuation, straight apostrophes."""
    return text.casefold().replace("’", "'").strip(_MARKS)
