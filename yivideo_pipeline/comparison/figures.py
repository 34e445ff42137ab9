"""The figures of a comparison: what both sides made of the same recordings, side by side."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yivideo_pipeline.comparison.accuracy import (
    CJK,
    TimeErrors,
    bootstrap_difference,
    compare_times,
    count_errors,
)
from yivideo_pipeline.comparison.corpus import Clip
from yivideo_pipeline.comparison.passages import DifferingPassage, Matching, find_passages
from yivideo_pipeline.comparison.side import ClipResult, SideResult
from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.speech.types import NO_LANGUAGE, Transcript

NEAR_S = 0.1
LEAST_CLIPS = 5
"""Of fewer recordings a bootstrap over recordings says nothing."""

Unit = Literal["share", "count", "number"]


@dataclass(frozen=True)
class Figure:
    """One figure of both sides; None where it has none. `note` says what B is against A."""

    name: str
    a: float | None
    b: float | None
    unit: Unit
    note: str = ""

    def show(self, value: float | None) -> str:
        """Return one of the values as text."""
        if value is None:
            return ""
        return {"share": f"{100 * value:.1f}%", "count": f"{value:.0f}", "number": f"{value:.2f}"}[self.unit]


@dataclass(frozen=True)
class ComparedClip:
    """A recording, what both sides made of it, and where these differ."""

    clip: Clip
    language: str
    a: ClipResult
    b: ClipResult
    passages: tuple[DifferingPassage, ...]


@dataclass(frozen=True)
class LeftOutClip:
    """A recording of which a side made nothing, and why."""

    path: Path
    side: str
    error: YivideoError


@dataclass(frozen=True)
class Comparison:
    """Both sides, recording by recording, and their figures."""

    a: SideResult
    b: SideResult
    clips: tuple[ComparedClip, ...]
    left_out: tuple[LeftOutClip, ...]
    figures: tuple[Figure, ...]


def compare(clips: Sequence[Clip], a: SideResult, b: SideResult) -> Comparison:
    """Compare what both sides made of the same recordings."""
    compared, left_out = [], []
    for clip, first, second in zip(clips, a.clips, b.clips, strict=True):
        if isinstance(first, ClipResult) and isinstance(second, ClipResult):
            compared.append(_compare_clip(clip, first, second))
        for side, made in (("A", first), ("B", second)):
            if isinstance(made, YivideoError):
                left_out.append(LeftOutClip(clip.path, side, made))
    figures = tuple(_figures(compared, a, b)) if compared else ()
    return Comparison(a, b, tuple(compared), tuple(left_out), figures)


def _compare_clip(clip: Clip, a: ClipResult, b: ClipResult) -> ComparedClip:
    heard = next((one.transcript.language for one in (a, b) if one.transcript.words), NO_LANGUAGE)
    language = clip.language or heard
    passages = find_passages(a.transcript, b.transcript, clip.text, language)
    return ComparedClip(clip, language, a, b, tuple(passages))


def _figures(clips: Sequence[ComparedClip], a: SideResult, b: SideResult) -> Iterator[Figure]:
    yield from _error_rates(clips)
    yield _disagreement(clips)
    yield from _word_times(clips)
    yield _shift(clips)
    yield _sum("words", clips, lambda one: len(one.transcript.words))
    yield _sum("seconds of speech without words", clips, _wordless_s, "number")
    audio_s = sum(one.a.transcript.duration_s for one in clips)
    speeds = [audio_s / sum(made.wall_s for made in side) for side in _sides(clips)]
    yield _ratio("speed: seconds of sound a second", speeds[0], speeds[1])
    costs = [sum(made.cpu_s for made in side) / max(audio_s, 1e-9) for side in _sides(clips)]
    yield _ratio("processor seconds a second of sound", costs[0], costs[1])
    yield _ratio("seconds to load the model", a.load_s, b.load_s)
    yield _ratio("peak memory, MB", a.cost.rss_peak_mb, b.cost.rss_peak_mb, "count")
    gpu = a.cost.gpu_memory_peak_mb, b.cost.gpu_memory_peak_mb
    if any(gpu):
        yield _ratio("peak GPU memory, MB", *gpu, unit="count")
    yield from _style(clips)


def _sides(clips: Sequence[ComparedClip]) -> tuple[list[ClipResult], list[ClipResult]]:
    return [one.a for one in clips], [one.b for one in clips]


def _error_rates(clips: Sequence[ComparedClip]) -> Iterator[Figure]:
    """Yield the error rate in each language, of the recordings whose text is known."""
    by_language: defaultdict[str, list[ComparedClip]] = defaultdict(list)
    for one in clips:
        if one.clip.text:
            by_language[one.language].append(one)
    for language, known in by_language.items():
        errors = [
            [count_errors(one.clip.text, _text(made.transcript), language) for one, made in pairs]
            for pairs in (
                [(one, one.a) for one in known],
                [(one, one.b) for one in known],
            )
        ]
        rates = [sum(count for count, _ in of) / max(1, sum(words for _, words in of)) for of in errors]
        note = f"{100 * (rates[1] - rates[0]):+.1f} points"
        if len(known) >= LEAST_CLIPS:
            note = str(bootstrap_difference(errors[1], errors[0]))
        unit = "CER" if language in CJK else "WER"
        yield Figure(f"{unit} {language}, {plural(len(known), 'recording')}", *rates, "share", note)


def _disagreement(clips: Sequence[ComparedClip]) -> Figure:
    """Return how many words differ, as a share of A's."""
    counts = [
        count_errors(_text(one.a.transcript), _text(one.b.transcript), one.language)
        for one in clips
        if one.a.transcript.words
    ]
    words = sum(count for _, count in counts)
    extra = sum(len(one.b.transcript.words) for one in clips if not one.a.transcript.words)
    share = (sum(errors for errors, _ in counts) + extra) / max(1, words)
    passages = sum(len(one.passages) for one in clips)
    return Figure("words that differ", None, share, "share", f"in {plural(passages, 'passage')}")


def _word_times(clips: Sequence[ComparedClip]) -> Iterator[Figure]:
    """Yield how many words stand near the times of the recordings whose words are timed."""
    timed = [one for one in clips if one.clip.words]
    a, b = (
        sum((compare_times(one.clip.words, made.transcript.words) for one, made in pairs), TimeErrors())
        for pairs in ([(one, one.a) for one in timed], [(one, one.b) for one in timed])
    )
    for name, errors in (("starts", (a.starts_s, b.starts_s)), ("ends", (a.ends_s, b.ends_s))):
        if all(errors):
            near = [sum(error <= NEAR_S for error in of) / len(of) for of in errors]
            points = f"{100 * (near[1] - near[0]):+.1f} points"
            yield Figure(f"word {name} within {NEAR_S:g} s of the reference", *near, "share", points)


def _shift(clips: Sequence[ComparedClip]) -> Figure:
    """Return how much sooner or later the words begin in B, of those that both have."""
    shifts = [
        (ours.start_s - theirs.start_s, theirs.start_s, one.clip.path.name)
        for one in clips
        for theirs, ours in Matching(one.a.transcript.words, one.b.transcript.words, one.language).pairs()
    ]
    name = "word starts, B after A, median ms"
    if not shifts:
        return Figure(name, None, None, "count", "no word is in both")
    distances = sorted(abs(shift_s) for shift_s, _, _ in shifts)
    most_s = distances[int(0.95 * (len(distances) - 1))]
    largest_s, at_s, where = max(shifts, key=lambda one: abs(one[0]))
    note = f"95% within {most_s:.2f} s; largest {largest_s:+.2f} s, {where} at {at_s:.1f} s"
    median_ms = 1000 * statistics.median(shift_s for shift_s, _, _ in shifts)
    return Figure(name, None, median_ms, "count", note)


def _style(clips: Sequence[ComparedClip]) -> Iterator[Figure]:
    """Yield the number of cues, of broken hard rules, and of the breaks of each rule that one side breaks."""
    yield _sum("cues", clips, lambda one: one.style.cues)
    yield _sum("breaks of hard style rules", clips, lambda one: one.style.hard_breaks)
    names = dict.fromkeys(
        rule.rule for one in clips for made in (one.a, one.b) for rule in made.style.rules if rule.broken
    )
    for name in names:
        yield _sum(f"cues against {name.replace('_', ' ')}", clips, lambda one, of=name: one.style.broken(of))


def _sum(
    name: str, clips: Sequence[ComparedClip], count: Callable[[ClipResult], float], unit: Unit = "count"
) -> Figure:
    a, b = (sum(map(count, side)) for side in _sides(clips))
    digits = 0 if unit == "count" else 2
    return Figure(name, a, b, unit, f"{b - a:+.{digits}f}" if a != b else "")


def _ratio(name: str, a: float | None, b: float | None, unit: Unit = "number") -> Figure:
    return Figure(name, a, b, unit, f"× {b / a:.2f}" if a and b else "")


def _wordless_s(made: ClipResult) -> float:
    return sum(span.end_s - span.start_s for span in made.transcript.wordless_spans)


def _text(transcript: Transcript) -> str:
    return " ".join(segment.text for segment in transcript.segments)
