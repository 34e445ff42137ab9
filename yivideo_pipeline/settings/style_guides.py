"""Style guides of subtitles, each as numbers: the limits of the options, and the rules of times.

A number that a guide does not give is that of `default`, unless its docstring says otherwise.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class StyleProfile(StrEnum):
    """The style guides that subtitles can follow."""

    DEFAULT = "default"
    NETFLIX = "netflix"
    BBC = "bbc"
    SHORTS = "shorts"
    NETFLIX_ZH = "netflix-zh"
    NETFLIX_JA = "netflix-ja"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that a guide sets, under the names of `SubtitleOptions`, which may change each of them."""

    max_chars_per_line: int = 42
    max_chars_per_line_cjk: int = 16
    max_lines: int = 2
    min_duration_s: float = 5 / 6
    max_duration_s: float = 7.0
    max_chars_per_second: float = 20.0
    max_chars_per_second_cjk: float = 11.0
    min_gap_ms: int = 83
    max_pause_s: float = 1.0
    keep_line_end_marks: bool = True


@dataclass(frozen=True, slots=True)
class TimingRules:
    """How a guide sets the times of cues.

    Attributes:
        is_strict: Limits outweigh the text: no cue breaks one where another cut of the same speech keeps it.
        gap_frames: The gap between cues in frames, where the frame rate is known; None: `min_gap_ms`.
        chain_below_s: A shorter gap is closed to the shortest one; 0: gaps stay as they are.
        on_frames: Whether cues begin and end with a frame of the picture.
        shot_near_s: A cue's end that is nearer to a shot change moves to it.
        shot_far_s: One that is nearer than this moves away to this distance; 0: shots are not looked for.
    """

    is_strict: bool = False
    gap_frames: int | None = None
    chain_below_s: float = 0.0
    on_frames: bool = False
    shot_near_s: float = 0.0
    shot_far_s: float = 0.0

    @property
    def looks_at_picture(self) -> bool:
        """Whether the rules need the picture's frame rate or its shots."""
        return self.on_frames or self.shot_far_s > 0


@dataclass(frozen=True, slots=True)
class StyleGuide:
    """One guide."""

    limits: Limits
    timing: TimingRules

    def given_limits(self) -> dict[str, Any]:
        """Return the limits by the names of the options."""
        return {field.name: getattr(self.limits, field.name) for field in fields(Limits)}


DEFAULT = StyleGuide(Limits(), TimingRules())
"""What suits most players and viewers: the lines and durations of Netflix's guides, speech-exact times, and a
limit that gives way where the text would be torn apart for it."""

_NETFLIX_TIMING = TimingRules(
    is_strict=True,
    gap_frames=2,
    chain_below_s=0.5,
    on_frames=True,
    shot_near_s=7 / 24,
    shot_far_s=12 / 24,
)
"""Netflix, *Timed Text Style Guide: Subtitle Timing Guidelines*, "Timing to audio": in-time on the first
frame of the sound, out-time up to half a second after it, gaps of up to half a second closed to two frames at
any frame rate. *General Requirements*, "Timing to Shot Changes": up to 7 frames from a shot change at 24 a
second a cue moves to it, from 8 to 11 frames away to 12."""

NETFLIX = StyleGuide(Limits(max_chars_per_second_cjk=9.0), _NETFLIX_TIMING)
"""Netflix, *Timed Text Style Guide: General Requirements*, "Duration" (5/6 s to 7 s), "Line Treatment" (two
lines); *English Timed Text Style Guide*, "Character Limitation" (42) and "Reading Speed Limits" (20 a second,
adult programmes). Chinese text has the limits of `NETFLIX_ZH`."""

NETFLIX_ZH = StyleGuide(Limits(max_chars_per_second_cjk=9.0, keep_line_end_marks=False), _NETFLIX_TIMING)
"""Netflix, *Simplified Chinese (PRC) Timed Text Style Guide*, "Character Limitation" (16 a line),
"Punctuation" (no comma or full stop ends a line), "Reading Speed Limits" (9 a second, adult programmes)."""

NETFLIX_JA = StyleGuide(
    Limits(max_chars_per_line_cjk=13, max_chars_per_second_cjk=4.0, keep_line_end_marks=False),
    _NETFLIX_TIMING,
)
"""Netflix, *Japanese Timed Text Style Guide*, section I, "Character Limitation" (13 full-width characters in
a horizontal line), "Punctuation" (no 、 or 。), "Reading Speed Limits" (4 a second). The speed is that of
translations: speech written down as it is spoken is faster, and the report says so."""

BBC = StyleGuide(
    Limits(max_chars_per_line=37, min_duration_s=1.0, max_chars_per_second=17.0, min_gap_ms=0),
    TimingRules(
        is_strict=True,
        gap_frames=0,
        chain_below_s=1.0,
        on_frames=True,
        shot_near_s=7 / 24,
        shot_far_s=12 / 24,
    ),
)
"""BBC, *Subtitle Guidelines*, "Line length" (37 characters of Teletext), "Avoid 3 lines or more", "Target
minimum timing" (160 to 180 words a minute: at 5.7 characters a word with its space, 180 words are 17
characters a second), "Gaps" (none shorter than a second), "Match subtitles to shot". The zones around a shot
change are Netflix's and the shortest duration is ours, since the BBC gives no number."""

SHORTS = StyleGuide(
    Limits(
        max_chars_per_line=24,
        max_chars_per_line_cjk=10,
        max_lines=1,
        min_duration_s=0.5,
        max_duration_s=3.0,
        max_chars_per_second=25.0,
        max_chars_per_second_cjk=13.0,
        min_gap_ms=0,
        max_pause_s=0.5,
    ),
    TimingRules(gap_frames=0, chain_below_s=0.3),
)
"""Upright videos for phones. There is no guide of an authority: these numbers are ours, one short line at a
time that fills the width of a 9:16 picture and follows the speech closely."""

STYLE_GUIDES: dict[StyleProfile, StyleGuide] = {
    StyleProfile.DEFAULT: DEFAULT,
    StyleProfile.NETFLIX: NETFLIX,
    StyleProfile.BBC: BBC,
    StyleProfile.SHORTS: SHORTS,
    StyleProfile.NETFLIX_ZH: NETFLIX_ZH,
    StyleProfile.NETFLIX_JA: NETFLIX_JA,
}
