"""Finds the words of scripts that are written without spaces, by dictionary, and the phrases of Japanese.

ICU knows the words of Chinese, Japanese, Thai, Lao, Khmer and Burmese. A Japanese line ends after a phrase, a
word with its particles and endings: BudouX finds those. Both are loaded when such a script is met.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_RUN = re.compile(
    r"[\u0e00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\uff66-\uff9f\U00020000-\U000323af]{2,}"
)
_KANA = re.compile(r"[\u3041-\u309f\u30a1-\u30fa\u30fc]")
_INSIDE_KATAKANA = re.compile(r"(?<=[\u30a1-\u30fa\u30fc-\u30fe])(?=[\u30a1-\u30fa\u30fc-\u30fe])")


def inside_phrases(text: str) -> frozenset[int]:
    """Return the indices at which no line may begin: inside a word, in Japanese inside a phrase."""
    return frozenset(at for run in _RUN.finditer(text) for at in _inside(run, phrases=True))


def inside_words(text: str) -> frozenset[int]:
    """Return the indices inside a word: for a phrase that is wider than a line."""
    return frozenset(at for run in _RUN.finditer(text) for at in _inside(run, phrases=False))


def _inside(run: re.Match[str], phrases: bool) -> Iterator[int]:
    text = run.group()
    inside = _between(_words(text))
    if _KANA.search(text):
        # ICU's dictionary parts words of foreign origin.
        inside |= {match.start() for match in _INSIDE_KATAKANA.finditer(text)}
        if phrases:
            inside |= _between(_phrase_parser().parse(text))
    return (run.start() + at for at in inside)


def _between(pieces: list[str]) -> set[int]:
    """Return the indices inside the pieces of a text."""
    inside, at = set(), 0
    for piece in pieces:
        inside.update(range(at + 1, at + len(piece)))
        at += len(piece)
    return inside


def _words(text: str) -> list[str]:
    from icu4py.breakers import WordBreaker

    return list(WordBreaker(text, "en"))  # the dictionary follows from the script, not from the locale


@lru_cache
def _phrase_parser() -> Any:
    from budoux import load_default_japanese_parser

    return load_default_japanese_parser()
