"""Compares a transcript with its reference: words, and the times of words."""

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jiwer
import numpy as np

from yivideo_pipeline.comparison.corpus import TimedWord
from yivideo_pipeline.speech.types import Word

CJK = frozenset({"zh", "ja", "yue"})
NORMALIZER = "NFKC, lower case, punctuation dropped, hyphens split; numbers and abbreviations as written"


@cache
def _simplifier() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")


def normalize(text: str, language: str = "en") -> str:
    """Normalize a text: words separated by spaces, in Chinese simplified characters separated by spaces."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    if language in CJK:
        return " ".join(char for char in _simplifier().convert(text) if char.isalnum())
    return " ".join(re.sub(r"[^\w' ]", " ", text).split())


def normalize_mixed(text: str) -> str:
    """Normalize a text of several languages: words, and simplified Chinese characters, between spaces."""
    spaced = re.sub("([\u3400-\u9fff])", r" \1 ", normalize(_simplifier().convert(text)))
    return " ".join(spaced.split())


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


def compare_times(reference: Sequence[TimedWord], words: Sequence[TimedWord | Word]) -> TimeErrors:
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


@dataclass(frozen=True)
class RateDifference:
    """How much more of the words one system gets wrong than another, 0 to 1, with a 95% interval."""

    rate: float
    low: float
    high: float

    def __str__(self) -> str:
        sure = "" if self.low > 0 or self.high < 0 else ", may be chance"
        return f"{100 * self.rate:+.1f} points ({100 * self.low:+.1f} to {100 * self.high:+.1f}{sure})"


def count_errors(reference: str, hypothesis: str, language: str = "en") -> tuple[int, int]:
    """Return jiwer's errors and the number of reference words; of characters in Chinese and Japanese."""
    found = jiwer.process_words(normalize(reference, language), normalize(hypothesis, language))
    return (
        found.substitutions + found.deletions + found.insertions,
        found.hits + found.substitutions + found.deletions,
    )


def bootstrap_difference(
    ours: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]], rounds: int = 10_000
) -> RateDifference:
    """Compare two systems on the same clips, resampled clip by clip.

    Method: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation",
    ICASSP 2004.

    Args:
        ours: Errors and reference words of each clip (`count_errors`).
        theirs: The other system's, in the same order.
        rounds: Number of samples.
    """
    errors = np.array([our[0] - their[0] for our, their in zip(ours, theirs, strict=True)])
    words = np.array([our[1] for our in ours])
    drawn = np.random.default_rng(0).integers(0, len(words), (rounds, len(words)))
    rates = errors[drawn].sum(axis=1) / np.maximum(1, words[drawn].sum(axis=1))
    low, high = np.quantile(rates, [0.025, 0.975])
    return RateDifference(float(errors.sum() / max(1, words.sum())), float(low), float(high))
