"""Checks of the transcript and the alignment: the words."""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from statistics import median

import dagster as dg

from yivideo_pipeline.defs.checks.base import Check, Subject, Verdict
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.sections import CheckSettings
from yivideo_pipeline.speech.types import Word
from yivideo_pipeline.subtitles.quality import measure_quality

LEAST_SPEECH_S = 2.0
"""Less speech than this is often a cough or a door that was taken for a voice."""
LEAST_SPEEDS = 5
"""Fewer speeds than these say nothing about what is usual."""
LOADING_S = 60.0
"""How much longer a transcript may take that waits for its model to be loaded, or even downloaded."""
OUTSIDE_S = 0.5
"""How far a word may reach over the edges of the video: aligners work in steps, files round."""


def _is_not_empty(subject: Subject, settings: CheckSettings) -> Verdict:
    transcript = subject.required_transcript
    figures = {"words": len(transcript.words), "speech_s": transcript.speech_s}
    if transcript.words:
        return Verdict(
            True, f"{plural(len(transcript.words), 'word')} in {transcript.speech_s:.1f} s of speech", figures
        )
    if transcript.speech_s < LEAST_SPEECH_S:
        return Verdict(True, "There are no words, and no speech was found", figures)
    return Verdict(
        False,
        f"{transcript.speech_s:.1f} s of speech were found, but no word was recognized:"
        " set the language, or use a larger model",
        figures,
    )


def _language_is_sure(subject: Subject, settings: CheckSettings) -> Verdict:
    transcript, least = subject.required_transcript, settings.min_language_probability
    figures = {
        "language": transcript.language,
        "language_probability": transcript.language_probability,
        "least": least,
    }
    if not transcript.words:
        return Verdict(True, "There are no words whose language could be in doubt", figures)
    if transcript.language_probability < least:
        return Verdict(
            False,
            f"The language may not be {transcript.language} ({transcript.language_probability:.0%} sure):"
            " set it in the launch or in the setting speech.language",
            figures,
        )
    return Verdict(True, f"{transcript.language}, {transcript.language_probability:.0%} sure", figures)


def _speech_is_covered(subject: Subject, settings: CheckSettings) -> Verdict:
    transcript, least = subject.required_transcript, settings.min_speech_covered
    quality = measure_quality((), transcript, subject.options)
    share = quality.speech_covered_share
    missing_s = (1 - share) * transcript.speech_s
    figures = {
        "speech_covered_share": share,
        "missing_s": missing_s,
        "speech_s": transcript.speech_s,
        "least": least,
        "wordless_spans": len(transcript.wordless_spans),
    }
    if transcript.words and (lines := transcript.wordless_warnings):
        return Verdict(False, f"{lines[0]}: a larger model may recognize them", figures)
    if share >= least or missing_s < LEAST_SPEECH_S:
        return Verdict(True, f"Words cover {share:.0%} of the speech", figures)
    return Verdict(
        False,
        f"{missing_s:.1f} s of speech ({1 - share:.0%}) have no words: a larger model may"
        " recognize them, or music may have been taken for speech",
        figures,
    )


def _speed_is_usual(subject: Subject, settings: CheckSettings) -> Verdict:
    speed, share = subject.speed, settings.min_speed_share
    if speed is None or speed.rtfx is None:
        return Verdict(True, "The transcript was made before: there is no speed to judge")
    figures = {"rtfx": speed.rtfx, "known_speeds": len(speed.usual), "least_share": share}
    if len(speed.usual) < LEAST_SPEEDS:
        return Verdict(True, f"{speed.rtfx:.1f} × real time; too few runs to know the usual speed", figures)
    usual = median(speed.usual)
    lost_s = (
        subject.required_transcript.duration_s / speed.rtfx - subject.required_transcript.duration_s / usual
    )
    figures = {**figures, "usual_rtfx": usual, "lost_s": lost_s}
    if speed.rtfx < share * usual and lost_s > LOADING_S:
        return Verdict(
            False,
            f"{speed.rtfx:.1f} × real time, where {usual:.1f} × is usual here: check what else uses"
            " the machine, and whether the model fell back to less memory or to another device",
            figures,
        )
    return Verdict(True, f"{speed.rtfx:.1f} × real time; {usual:.1f} × is usual here", figures)


def _are_timed_and_in_order(subject: Subject, settings: CheckSettings) -> Verdict:
    words = subject.required_transcript.words
    untimed = [word for word in words if not _is_timed(word)]
    unordered = [after for before, after in pairwise(words) if after.start_s < before.start_s]
    outside = _outside(words, subject.end_s)
    figures = {
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
    listed = [
        f"{len(found)} of {plural(len(words), 'word')} {fault}, first {found[0].text.strip()!r} at"
        f" {found[0].start_s:.2f} s"
        for fault, found in faults.items()
        if found
    ]
    if listed:
        advice = "set the aligner to attention and materialize the alignment again"
        return Verdict(False, f"{'; '.join(listed)}: {advice}", figures)
    return Verdict(True, f"{plural(len(words), 'word')}, all timed, in order and inside the video", figures)


def _is_timed(word: Word) -> bool:
    return isfinite(word.start_s) and isfinite(word.end_s) and word.start_s <= word.end_s


def _outside(words: Sequence[Word], end_s: float | None) -> list[Word]:
    last_s = float("inf") if end_s is None else end_s + OUTSIDE_S
    return [word for word in words if word.start_s < -OUTSIDE_S or word.end_s > last_s]


TRANSCRIPT_CHECKS = (
    Check(
        "transcript_is_not_empty_though_there_is_speech",
        "Where there is speech, words were recognized",
        _is_not_empty,
        dg.AssetCheckSeverity.ERROR,
    ),
    Check("language_is_sure", "The language was detected with confidence", _language_is_sure),
    Check("speech_is_covered", "The speech has words", _speech_is_covered),
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
