"""Fails where words, their times or the style of cues are worse on the samples than their stored baselines.

With `--corpus` it shows how the cues of other recordings keep the hard rules of each guide, and how many of
the breaks another cut of the same words into cues would have spared.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from benchmarks.clips import SAMPLES
from yivideo_pipeline.comparison.accuracy import TimeErrors, compare_times, count_errors
from yivideo_pipeline.comparison.corpus import Clip, find_clips
from yivideo_pipeline.comparison.figures import NEAR_S
from yivideo_pipeline.media.decode import open_sound
from yivideo_pipeline.media.shots import Picture, look_at_picture
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.style_guides import STYLE_GUIDES, StyleProfile
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.style_report import StyleReport, report_style

BASELINES = Path(__file__).with_name("baselines.json")
MODELS = Path(__file__).resolve().parents[1] / "data" / "models"


@dataclass(frozen=True)
class Measure:
    """How a figure is judged: how much more than its baseline is worse; below 0: how much less is."""

    unit: str
    slack: float

    def is_worse(self, now: float, before: float) -> bool:
        """Return whether a figure is worse than its baseline allows."""
        return now > before + self.slack if self.slack >= 0 else now < before + self.slack


WRONG_WORDS = Measure("wrong words", 1)
"""Another processor rounds otherwise: a word may fall on the other side."""
NEAR_WORDS = Measure(f"% within {NEAR_S:g} s", -2)
MEDIAN_MS = Measure("ms in the median", 5)
HARD_BREAKS = Measure("breaks of hard rules", 0)
SOFT_BREAKS = Measure("breaks of other rules", 1)
MEASURES = {one.unit: one for one in (WRONG_WORDS, NEAR_WORDS, MEDIAN_MS, HARD_BREAKS, SOFT_BREAKS)}


@dataclass(frozen=True)
class Heard:
    """A recording, its transcript, and its picture."""

    clip: Clip
    transcript: Transcript
    picture: Picture | None


def main() -> int:
    """Measure, compare with the baselines or renew them; returns 1 where something is worse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="base")
    parser.add_argument("--renew", action="store_true", help="write the figures of now as baselines")
    parser.add_argument(
        "--corpus", type=Path, nargs="+", help="folders with recordings, in place of the samples"
    )
    given = parser.parse_args()
    clips = [clip for folder in given.corpus or [SAMPLES] for clip in find_clips(folder, [])]
    heard = list(listen(clips, given.model))
    console = Console(width=None if os.isatty(1) else 140, highlight=False)
    if given.corpus:
        console.print(rules_of(heard))
        return 0
    figures = dict(measure(heard))
    if given.renew:
        BASELINES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        console.print(f"{len(figures)} baselines are written to {BASELINES.name}")
        return 0
    return compare(figures, json.loads(BASELINES.read_text(encoding="utf-8")), console)


def listen(clips: Iterable[Clip], model: str) -> Iterator[Heard]:
    """Recognize recordings by the defaults, whatever the settings of this machine are."""
    options = SpeechOptions(model_name=model)
    with tempfile.TemporaryDirectory(prefix="yivideo-gate-") as home:
        settings = load_settings(environ={"YIVIDEO_HOME": home, "YIVIDEO_CACHE__MODEL_DIR": str(MODELS)})
    with LocalSpeech(settings).engine(options) as engine:
        for clip in clips:
            with open_sound(clip.path) as sound:
                words = engine.transcribe(sound.audio, options)
                transcript = engine.align(sound.audio, words, options) if words.words else words
            yield Heard(clip, transcript, look_at_picture(clip.path))


def measure(heard: list[Heard]) -> Iterator[tuple[str, float]]:
    """Yield the figures by their names: what is measured, a colon, the unit."""
    times = TimeErrors()
    for one in heard:
        said = " ".join(segment.text for segment in one.transcript.segments)
        yield f"{one.clip.path.stem}: {WRONG_WORDS.unit}", count_errors(one.clip.text, said)[0]
        times += compare_times(one.clip.words, one.transcript.words)
    for name, errors in (("word starts", times.starts_s), ("word ends", times.ends_s)):
        near = sum(error <= NEAR_S for error in errors) / max(1, len(errors))
        yield f"{name}: {NEAR_WORDS.unit}", round(100 * near, 1)
        yield f"{name}: {MEDIAN_MS.unit}", round(1000 * median(errors)) if errors else 1000
    for profile in STYLE_GUIDES:
        reports = [report(one, profile) for one in heard]
        every = sum(rule.broken for one in reports for rule in one.rules)
        hard = sum(one.hard_breaks for one in reports)
        yield f"{profile}: {HARD_BREAKS.unit}", hard
        yield f"{profile}: {SOFT_BREAKS.unit}", every - hard


def report(one: Heard, profile: StyleProfile) -> StyleReport:
    """Return how the cues of a recording keep to a guide."""
    options = SubtitleOptions.model_validate({"profile": profile})
    picture = one.picture if options.guide.timing.looks_at_picture else None
    cues = build_cues(one.transcript, options, picture=picture)
    return report_style(cues, options, one.transcript.language, one.transcript.end_s, picture)


def compare(figures: dict[str, float], baselines: dict[str, float], console: Console) -> int:
    """Print the figures that are worse than their baselines; returns 1 where there are some."""
    worse = Table("figure", "baseline", "now", title="Worse than the baselines")
    better = []
    for name in sorted({*figures, *baselines}):
        now, before = figures.get(name), baselines.get(name)
        judged = MEASURES.get(name.partition(": ")[2])
        if now is None or before is None or judged is None or judged.is_worse(now, before):
            worse.add_row(name, f"{before}", f"{now}")
        elif judged.is_worse(before, now):
            better.append(name)
    if better:
        console.print(f"Better than the baselines: {'; '.join(better)}. `make gate-renew` keeps that.")
    if worse.row_count:
        console.print(worse)
        console.print("If that is as it should be: make gate-renew")
        return 1
    console.print(f"None of {len(figures)} figures is worse than its baseline")
    return 0


def rules_of(heard: list[Heard]) -> Table:
    """Return how the cues of each guide keep its hard rules.

    A strict guide has no cut with fewer breaks; in the others a limit may give way to the text.
    """
    table = Table("guide", "cues", "breaks of hard rules", "spared by a strict cut", "since")
    for profile in STYLE_GUIDES:
        reports = [report(one, profile) for one in heard]
        least = [_with_strict_cut(one, profile) for one in heard]
        kept = sum(
            max(0, one.hard_breaks - best.hard_breaks) for one, best in zip(reports, least, strict=True)
        )
        reasons = Counter(
            f"{rule.rule}: {reason}"
            for one in reports
            for rule in one.rules
            if rule.is_hard
            for reason, count in rule.reasons.items()
            for _ in range(count)
        )
        since = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        hard = sum(one.hard_breaks for one in reports)
        table.add_row(profile, str(sum(one.cues for one in reports)), str(hard), str(kept), since)
    return table


def _with_strict_cut(one: Heard, profile: StyleProfile) -> StyleReport:
    guide = STYLE_GUIDES[profile]
    strict = replace(guide, timing=replace(guide.timing, is_strict=True))
    with patch.dict(STYLE_GUIDES, {profile: strict}):
        return report(one, profile)


if __name__ == "__main__":
    sys.exit(main())
