"""Checks of the transcript and the alignment: the words."""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from statistics import median

import dagster as dg

from yivideo_pipeline.defs.checks.base import Check, Subject, Verdict
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.speech.types import Word
from yivideo_pipeline.subtitles.quality import measure_quality

LEAST_SPEECH_S = 2.0
"""Less than this is often a cough or a door that was taken for a voice."""
LEAST_SPEEDS = 5
"""Fewer speeds than these say nothing about what is usual."""
LOADING_S = 60.0
"""A transcript that has to wait for the model to be loaded, or even fetched, may take so much longer."""
OUTSIDE_S = 0.5
"""A word may reach so far over the edges of the video: aligners work in steps, files round."""


def _is_not_empty(subject: Subject, settings: Settings) -> Verdict:
    said = subject.said
    numbers = {"words": len(said.words), "speech_s": said.speech_s}
    if said.words:
        return Verdict(True, f"{len(said.words)} words in {said.speech_s:.1f} s of speech", numbers)
    if said.speech_s < LEAST_SPEECH_S:
        return Verdict(True, "There are no words, and no speech to hear", numbers)
    return Verdict(
        False,
        f"{said.speech_s:.1f} s of speech were heard, but not a word was understood:"
        " give the language, or take a larger model",
        numbers,
    )


def _language_is_sure(subject: Subject, settings: Settings) -> Verdict:
    said, least = subject.said, settings.checks.min_language_probability
    numbers = {"language": said.language, "language_probability": said.language_probability, "least": least}
    if not said.words:
        return Verdict(True, "There are no words whose language could be in doubt", numbers)
    if said.language_probability < least:
        return Verdict(
            False,
            f"The language may not be {said.language} ({said.language_probability:.0%} sure): give it in the"
            " launch or in the setting speech.language",
            numbers,
        )
    return Verdict(True, f"{said.language}, {said.language_probability:.0%} sure", numbers)


def _speech_is_covered(subject: Subject, settings: Settings) -> Verdict:
    said, least = subject.said, settings.checks.min_speech_covered
    quality = measure_quality((), said, subject.options)
    share = quality.speech_covered_share
    missing_s = (1 - share) * said.speech_s
    numbers = {
        "speech_covered_share": share,
        "missing_s": missing_s,
        "speech_s": said.speech_s,
        "least": least,
    }
    if share >= least or missing_s < LEAST_SPEECH_S:
        return Verdict(True, f"Words cover {share:.0%} of the speech that was heard", numbers)
    return Verdict(
        False,
        f"{missing_s:.1f} s of the speech that was heard ({1 - share:.0%}) have no words: a larger model may"
        " understand them, music may have been taken for speech",
        numbers,
    )


def _speed_is_usual(subject: Subject, settings: Settings) -> Verdict:
    speed, share = subject.speed, settings.checks.min_speed_share
    if speed is None or speed.rtfx is None:
        return Verdict(True, "Nothing was made now whose speed could be judged")
    numbers = {"rtfx": speed.rtfx, "known_speeds": len(speed.usual), "least_share": share}
    if len(speed.usual) < LEAST_SPEEDS:
        return Verdict(True, f"{speed.rtfx:.1f} × real time; too few runs to say what is usual", numbers)
    usual = median(speed.usual)
    lost_s = subject.said.duration_s / speed.rtfx - subject.said.duration_s / usual
    numbers = {**numbers, "usual_rtfx": usual, "lost_s": lost_s}
    if speed.rtfx < share * usual and lost_s > LOADING_S:
        return Verdict(
            False,
            f"{speed.rtfx:.1f} × real time, where {usual:.1f} × is usual here: see what else uses"
            " the machine, and whether the model fell back to less memory or another device",
            numbers,
        )
    return Verdict(True, f"{speed.rtfx:.1f} × real time; {usual:.1f} × is usual here", numbers)


def _are_timed_and_in_order(subject: Subject, settings: Settings) -> Verdict:
    words = subject.said.words
    untimed = [word for word in words if not _is_timed(word)]
    unordered = [after for before, after in pairwise(words) if after.start_s < before.start_s]
    outside = _outside(words, subject.end_s)
    numbers = {
        "words": len(words),
        "untimed_words": len(untimed),
        "unordered_words": len(unordered),
        "outside_words": len(outside),
    }
    faults = {
        "without a proper time": untimed,
        "before the word ahead of them": unordered,
        "outside the video": outside,
    }
    told = [
        f"{len(found)} of {len(words)} words {fault}, first {found[0].text.strip()!r} at"
        f" {found[0].start_s:.2f} s"
        for fault, found in faults.items()
        if found
    ]
    if told:
        advice = "set the aligner to attention and materialize the alignment again"
        return Verdict(False, f"{'; '.join(told)}: {advice}", numbers)
    return Verdict(True, f"{len(words)} words, all timed, in order and inside the video", numbers)


def _is_timed(word: Word) -> bool:
    return isfinite(word.start_s) and isfinite(word.end_s) and word.start_s <= word.end_s


def _outside(words: Sequence[Word], end_s: float | None) -> list[Word]:
    last_s = float("inf") if end_s is None else end_s + OUTSIDE_S
    return [word for word in words if word.start_s < -OUTSIDE_S or word.end_s > last_s]


TRANSCRIPT_CHECKS = (
    Check(
        "transcript_is_not_empty_though_there_is_speech",
        "Where speech was heard, words were understood",
        _is_not_empty,
        dg.AssetCheckSeverity.ERROR,
    ),
    Check("language_is_sure", "The language is not a guess", _language_is_sure),
    Check("speech_is_covered", "The speech that was heard has words", _speech_is_covered),
    Check(
        "speed_is_usual",
        "The transcript did not take far longer than others on this machine",
        _speed_is_usual,
    ),
)
ALIGNMENT_CHECKS = (
    Check(
        "words_are_timed_and_in_order",
        "Every word has a time inside the video, none before the word ahead of it",
        _are_timed_and_in_order,
        dg.AssetCheckSeverity.ERROR,
        blocks=True,
    ),
)
