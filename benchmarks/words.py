"""Compares a transcript with its reference: words, and the times of words."""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jiwer
import numpy as np

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


@dataclass(frozen=True)
class Difference:
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


def count_errors_by_clip(texts: Sequence[str], hypothesis: str) -> list[tuple[int, int]]:
    """Return jiwer's errors and the reference words of each clip in a recording that was joined of clips.

    A clip that occurs several times counts once, with all its errors: copies say nothing new.

    Args:
        texts: Of the clips, in the order of the recording.
        hypothesis: What was recognized in all of it.
    """
    parts = [normalize(text).split() for text in texts]
    owners = [text for text, words in zip(texts, parts, strict=True) for _ in words]
    errors = dict.fromkeys(texts, 0)
    found = jiwer.process_words(" ".join(word for words in parts for word in words), normalize(hypothesis))
    for step in found.alignments[0]:
        if step.type == "insert":
            errors[owners[min(step.ref_start_idx, len(owners) - 1)]] += step.hyp_end_idx - step.hyp_start_idx
        elif step.type != "equal":
            for owner in owners[step.ref_start_idx : step.ref_end_idx]:
                errors[owner] += 1
    words = Counter(owners)
    return [(errors[text], words[text]) for text in errors]


def bootstrap_difference(
    ours: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]], rounds: int = 10_000
) -> Difference:
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
    return Difference(float(errors.sum() / max(1, words.sum())), float(low), float(high))
