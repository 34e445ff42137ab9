"""Readability of a video's subtitles, and the confidence of their words, in numbers and in plain words."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from pydantic import BaseModel, ConfigDict

from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.types import Span, Transcript, Word
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.style_report import StyleReport, chars_per_second, report_style

LOW_CONFIDENCE = 0.5

SCORE_WEIGHTS = {
    "cues_overlapping": 100.0,
    "cues_too_fast": 40.0,
    "cues_too_short": 20.0,
    "cues_too_long": 20.0,
    "cues_with_long_lines": 20.0,
    "cues_across_pauses": 20.0,
    "gaps_too_short": 10.0,
}
"""Points lost if every cue has the fault; otherwise by the share of cues that have it."""


class Quality(BaseModel):
    """Counts, shares and one score, that of readability.

    The score is 100, minus the weight of each fault (`SCORE_WEIGHTS`) times the share of cues with that
    fault; never below 0. It says nothing of whether the words are right: the confidence does. Shares are 0 to
    1. Score, means and maxima are None without a cue.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cues: int
    words: int
    words_by_source: dict[str, int]
    mean_confidence: float | None
    low_confidence_share: float
    speech_covered_share: float
    max_chars_per_second: float | None
    mean_chars_per_second: float | None
    cues_too_fast: int
    cues_too_short: int
    cues_too_long: int
    cues_with_long_lines: int
    cues_overlapping: int
    gaps_too_short: int
    cues_across_pauses: int
    score: float | None
    issues: tuple[str, ...]


def measure_quality(
    cues: Sequence[Cue],
    transcript: Transcript,
    options: SubtitleOptions,
    style: StyleReport | None = None,
) -> Quality:
    """Measure cues by the options that they were built with, and words by the speech that was detected.

    Args:
        cues: The cues.
        transcript: The words that they were made of.
        options: The limits and the guide.
        style: The cues' report, where it was made before.
    """
    style = style or report_style(cues, options, transcript.language)
    words = [word for word in transcript.words if word.text.strip()]
    confidences = [word.confidence for word in words]
    low_share = sum(c < LOW_CONFIDENCE for c in confidences) / len(words) if words else 0.0
    covered = _covered_share(words, transcript.speech_spans, options.max_pause_s)
    speeds = [chars_per_second(cue, options) for cue in cues]
    faults = _count_faults(cues, style)
    return Quality(
        cues=len(cues),
        words=len(words),
        words_by_source=dict(Counter(word.source for word in words)),
        mean_confidence=sum(confidences) / len(words) if words else None,
        low_confidence_share=low_share,
        speech_covered_share=covered,
        max_chars_per_second=max(speeds, default=None),
        mean_chars_per_second=sum(speeds) / len(speeds) if speeds else None,
        **faults,
        score=_score(faults, len(cues)),
        issues=_issues(faults, len(cues), low_share, covered),
    )


def _count_faults(cues: Sequence[Cue], style: StyleReport) -> dict[str, int]:
    overlapping = sum(after.start_ms < before.end_ms for before, after in pairwise(cues))
    return {
        "cues_overlapping": overlapping,
        "cues_too_fast": style.broken("reading_speed"),
        "cues_too_short": style.broken("shortest_duration"),
        "cues_too_long": style.broken("longest_duration"),
        "cues_with_long_lines": style.broken("lines"),
        "cues_across_pauses": style.broken("pauses"),
        "gaps_too_short": style.broken("gap") - overlapping,
    }


def _covered_share(words: Sequence[Word], spans: Sequence[Span], max_pause_s: float) -> float:
    """Return the share of the speech that runs of words cover; a run spans the pauses that a cue may."""
    speech_s = sum(span.end_s - span.start_s for span in spans)
    if speech_s <= 0:
        return 1.0
    runs: list[Span] = []
    for word in sorted(words, key=lambda word: word.start_s):
        if runs and word.start_s - runs[-1].end_s <= max_pause_s:
            runs[-1] = Span(start_s=runs[-1].start_s, end_s=max(runs[-1].end_s, word.end_s))
        else:
            runs.append(Span(start_s=word.start_s, end_s=max(word.start_s, word.end_s)))
    return min(1.0, _shared_s(runs, spans) / speech_s)


def _shared_s(runs: Sequence[Span], spans: Sequence[Span]) -> float:
    """Return the seconds that are in both of two sorted lists, in one pass over them."""
    shared_s, at = 0.0, 0
    for span in sorted(spans, key=lambda span: span.start_s):
        while at < len(runs) and runs[at].end_s <= span.start_s:
            at += 1
        for run in runs[at:]:
            if run.start_s >= span.end_s:
                break
            shared_s += max(0.0, min(run.end_s, span.end_s) - max(run.start_s, span.start_s))
    return shared_s


def _score(faults: dict[str, int], cues: int) -> float | None:
    if not cues:
        return None
    lost = sum(weight * faults[fault] / cues for fault, weight in SCORE_WEIGHTS.items())
    return round(max(0.0, 100.0 - lost), 1)


_FAULT_TEXTS = {
    "cues_overlapping": "overlap the next one",
    "cues_too_fast": "are too fast to read",
    "cues_too_short": "are shown too briefly",
    "cues_too_long": "are shown too long",
    "cues_with_long_lines": "have too long or too many lines",
    "cues_across_pauses": "span a long pause",
    "gaps_too_short": "are too close to the next one",
}


def _issues(faults: dict[str, int], cues: int, low_share: float, covered: float) -> tuple[str, ...]:
    issues = [
        f"{faults[fault]} of {plural(cues, 'cue')} {text}"
        for fault, text in _FAULT_TEXTS.items()
        if faults[fault]
    ]
    if low_share >= 0.1:
        issues.append(f"{low_share:.0%} of the words are uncertain: a larger model may recognize them better")
    if covered < 0.9:
        issues.append(f"{1 - covered:.0%} of the detected speech has no words")
    return tuple(issues)
