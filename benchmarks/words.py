"""Compares a transcript with its reference: words, and the times of words."""

import difflib
import re
import unicodedata
from dataclasses import dataclass
from functools import cache

import jiwer

from benchmarks.clips import TimedWord

CJK = frozenset({"zh", "ja", "yue"})
NORMALIZER = "NFKC, lower case, punctuation dropped, hyphens split; numbers and abbreviations as written"


@cache
def _simplifier():
    from opencc import OpenCC

    return OpenCC("t2s")


def normalize(text: str, language: str = "en") -> str:
    """Normalize a text: words separated by spaces, in Chinese simplified characters separated by spaces."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    if language in CJK:
        return " ".join(char for char in _simplifier().convert(text) if char.isalnum())
    return " ".join(re.sub(r"[^\w' ]", " ", text).split())


def error_rate(reference: str, hypothesis: str, language: str = "en") -> float:
    """Return the word error rate, 0 to 1 and over; of characters in Chinese and Japanese."""
    return jiwer.wer(normalize(reference, language), normalize(hypothesis, language))


@dataclass(frozen=True)
class TimeErrors:
    """Distances in seconds from reference times, one for each matched word."""

    starts_s: tuple[float, ...] = ()
    ends_s: tuple[float, ...] = ()

    def __add__(self, other: "TimeErrors") -> "TimeErrors":
        return TimeErrors(self.starts_s + other.starts_s, self.ends_s + other.ends_s)


def compare_times(reference: tuple[TimedWord, ...], words: list[TimedWord]) -> TimeErrors:
    """Measure the words that both sequences have, matched in order."""
    matcher = difflib.SequenceMatcher(
        a=[normalize(word.text) for word in reference],
        b=[normalize(word.text) for word in words],
        autojunk=False,
    )
    pairs = [
        (reference[block.a + offset], words[block.b + offset])
        for block in matcher.get_matching_blocks()
        for offset in range(block.size)
    ]
    return TimeErrors(
        tuple(abs(ours.start_s - theirs.start_s) for theirs, ours in pairs),
        tuple(abs(ours.end_s - theirs.end_s) for theirs, ours in pairs),
    )
