"""How cues keep to their style guide: each rule, the cues that break it, and why it could not be kept.

It is measured on the cues alone, whatever made them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from yivideo_pipeline.settings.style_guides import StyleProfile
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.subtitles.breaks import is_inside_phrase, is_inside_word
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.grammar import grammar_of
from yivideo_pipeline.subtitles.timing import LINGER_MS, FrameClock, clock_of, gap_frames
from yivideo_pipeline.subtitles.tokens import count_columns, is_sounding, is_spaceless, profile_of

if TYPE_CHECKING:  # it opens media, which takes a while to import
    from yivideo_pipeline.media.shots import Picture

LISTED = 100
"""How many cues are named for each rule; all are counted."""

Reason = Literal[
    "next_cue",
    "longest_duration",
    "video_end",
    "same_start",
    "one_word",
    "speech_before",
    "to_be_read",
    "no_better_place",
    "pause",
]
RuleName = Literal[
    "reading_speed",
    "shortest_duration",
    "longest_duration",
    "lines",
    "gap",
    "pauses",
    "words",
    "first_sound",
    "last_sound",
    "shots",
    "phrases",
]
HARD_RULES: frozenset[RuleName] = frozenset(
    {
        "reading_speed",
        "shortest_duration",
        "longest_duration",
        "lines",
        "gap",
        "pauses",
        "words",
        "first_sound",
    }
)
"""Rules of which a break is a fault; the others are a matter of the better of two evils."""


class BrokenAt(NamedTuple):
    """A cue that breaks a rule: its number, counted from 1, and why the rule could not be kept."""

    cue: int
    reason: Reason


class StyleRule(BaseModel):
    """One rule: how many cues break it, for which reasons, and the first of them."""

    model_config = ConfigDict(frozen=True)

    rule: RuleName
    is_hard: bool
    broken: int
    reasons: dict[Reason, int]
    cues: tuple[BrokenAt, ...]


class StyleReport(BaseModel):
    """The rules of one video's subtitles.

    `is_strict` says that the cut breaks as few hard rules as any cut of the same words into cues.
    `frame_rate` and `shots` are what was known of the picture, where the guide looks at it. `gap_ms` is the
    shortest gap that is allowed between cues.
    """

    model_config = ConfigDict(frozen=True)

    profile: StyleProfile
    is_strict: bool
    frame_rate: float | None
    shots: int
    gap_ms: int
    cues: int
    rules: tuple[StyleRule, ...]

    def broken(self, rule: RuleName) -> int:
        """Return how many cues break a rule."""
        return next((one.broken for one in self.rules if one.rule == rule), 0)

    @property
    def hard_breaks(self) -> int:
        """How many times a hard rule is broken."""
        return sum(rule.broken for rule in self.rules if rule.is_hard)


def report_style(
    cues: Sequence[Cue],
    options: SubtitleOptions,
    language: str,
    end_s: float | None = None,
    picture: "Picture | None" = None,
) -> StyleReport:
    """Measure cues by the rules of their options.

    Args:
        cues: The cues, in order.
        options: The limits and the guide.
        language: Of the text of cues that name none.
        end_s: When the video ends.
        picture: The video's frames and shots.
    """
    clock = clock_of(options, picture)
    measure = _Measure(cues, options, language, end_s, clock)
    return StyleReport(
        profile=options.profile,
        is_strict=options.guide.timing.is_strict,
        frame_rate=float(picture.frame_rate) if picture and picture.frame_rate else None,
        shots=len(clock.shots) if clock else 0,
        gap_ms=clock.duration_ms(gap_frames(options, clock)) if clock else options.min_gap_ms,
        cues=len(cues),
        rules=tuple(_rule(name, list(find())) for name, find in measure.rules().items()),
    )


def _rule(name: RuleName, broken: list[BrokenAt]) -> StyleRule:
    reasons = Counter(one.reason for one in broken)
    return StyleRule(
        rule=name,
        is_hard=name in HARD_RULES,
        broken=len(broken),
        reasons=dict(reasons),
        cues=tuple(broken[:LISTED]),
    )


class _Measure:
    """Finds the cues that break each rule."""

    def __init__(
        self,
        cues: Sequence[Cue],
        options: SubtitleOptions,
        language: str,
        end_s: float | None,
        clock: FrameClock | None,
    ) -> None:
        self._cues = cues
        self._options = options
        self._language = language
        self._end_ms = None if end_s is None else int(end_s * 1000)
        self._clock = clock

    def rules(self) -> dict[RuleName, Callable[[], Iterator[BrokenAt]]]:
        """Return the rules that apply, each with what finds its breaks."""
        rules: dict[RuleName, Callable[[], Iterator[BrokenAt]]] = {
            "reading_speed": lambda: self._of_time(lambda cue: is_too_fast(cue, self._options)),
            "shortest_duration": lambda: self._of_time(
                lambda cue: cue.duration_ms < int(self._options.min_duration_s * 1000)
            ),
            "longest_duration": lambda: self._where(
                lambda cue: cue.duration_ms > self._options.max_duration_s * 1000, "one_word"
            ),
            "lines": lambda: self._where(lambda cue: has_long_lines(cue, self._options), "same_start"),
            "gap": self._gaps,
            "pauses": lambda: self._where(
                lambda cue: is_across_pause(cue, self._options.max_pause_s), "one_word"
            ),
            "words": self._split_words,
            "phrases": self._split_phrases,
        }
        if clock := self._clock:
            rules["first_sound"] = lambda: self._late_starts(clock)
            rules["last_sound"] = lambda: self._late_ends(clock)
            if self._options.guide.timing.shot_far_s:
                rules["shots"] = lambda: self._near_shots(clock)
        return rules

    def _where(self, is_broken: Callable[[Cue], bool], reason: Reason) -> Iterator[BrokenAt]:
        return (BrokenAt(number, reason) for number, cue in enumerate(self._cues, 1) if is_broken(cue))

    def _of_time(self, is_broken: Callable[[Cue], bool]) -> Iterator[BrokenAt]:
        for number, cue in enumerate(self._cues, 1):
            if is_broken(cue):
                yield BrokenAt(number, self._why_not_longer(number, cue))

    def _why_not_longer(self, number: int, cue: Cue) -> Reason:
        frame_ms = 50  # a limit is reached within a frame
        if cue.duration_ms + frame_ms >= self._options.max_duration_s * 1000:
            return "longest_duration"
        if number == len(self._cues) or (self._end_ms is not None and cue.end_ms + frame_ms >= self._end_ms):
            return "video_end"
        return "next_cue"

    def _pairs(self) -> Iterator[tuple[int, Cue, Cue]]:
        return ((number, cue, self._cues[number]) for number, cue in enumerate(self._cues[:-1], 1))

    def _gaps(self) -> Iterator[BrokenAt]:
        for number, cue, following in self._pairs():
            gap_ms, least_ms = following.start_ms - cue.end_ms, self._options.min_gap_ms
            if self._clock:
                frames = self._clock.frame_from(following.start_ms) - self._clock.frame_from(cue.end_ms)
                gap_ms, least_ms = frames, gap_frames(self._options, self._clock)
            if gap_ms < least_ms:
                yield BrokenAt(number, "same_start")

    def _line_ends(self) -> Iterator[tuple[int, str, str, bool]]:
        """Yield each break of the text: its cue, the text on both sides, whether a pause is there."""
        for number, cue in enumerate(self._cues, 1):
            for before, after in zip(cue.lines, cue.lines[1:], strict=False):
                yield number, before, after, False
            if number < len(self._cues):
                following = self._cues[number]
                pause_s = (following.start_ms - self._last_sound_ms(cue)) / 1000
                yield number, cue.lines[-1], following.lines[0], pause_s > self._options.max_pause_s

    def _split_words(self) -> Iterator[BrokenAt]:
        for number, cue in enumerate(self._cues, 1):
            pieces = sum(len(line.split()) for line in cue.lines)
            if cue.words and pieces > len("".join(word.text for word in cue.words).split()) + _joints(cue):
                yield BrokenAt(number, "one_word")
        for number, before, after, paused in self._line_ends():
            if not paused and is_inside_word(before, after):
                yield BrokenAt(number, "one_word")

    def _split_phrases(self) -> Iterator[BrokenAt]:
        for number, before, after, paused in self._line_ends():
            grammar = grammar_of(self._cues[number - 1].language or self._language)
            if is_inside_phrase(before, after, grammar):
                yield BrokenAt(number, "pause" if paused else "no_better_place")

    @staticmethod
    def _last_sound_ms(cue: Cue) -> int:
        return max(
            (round(word.end_s * 1000) for word in cue.words if is_sounding(word.text)), default=cue.end_ms
        )

    def _late_starts(self, clock: FrameClock) -> Iterator[BrokenAt]:
        """Yield the cues that begin off the frame of their first sound, and at no shot change."""
        far = clock.frames(self._options.guide.timing.shot_far_s)
        for number, cue in enumerate(self._cues, 1):
            start = clock.frame_from(cue.start_ms)
            sound_ms = round(cue.words[0].start_s * 1000) if cue.words else cue.start_ms
            if start != clock.frame_at(sound_ms) and not {start, start + far} & set(clock.shots):
                yield BrokenAt(number, "speech_before")

    def _late_ends(self, clock: FrameClock) -> Iterator[BrokenAt]:
        """Yield the cues that stay longer after their last sound than a run of cues or a shot explains."""
        rules, gap = self._options.guide.timing, gap_frames(self._options, clock)
        far, linger = clock.frames(rules.shot_far_s), clock.frames(LINGER_MS / 1000)
        for number, cue in enumerate(self._cues, 1):
            end = clock.frame_from(cue.end_ms)
            following = self._cues[number] if number < len(self._cues) else None
            chained = following and clock.frame_from(following.start_ms) - end == gap
            at_shot = {end + gap, end - far} & set(clock.shots)
            if end - clock.frame_at(self._last_sound_ms(cue)) > linger and not chained and not at_shot:
                yield BrokenAt(number, "to_be_read")

    def _near_shots(self, clock: FrameClock) -> Iterator[BrokenAt]:
        """Yield the cues that begin shortly before a shot change, or end shortly before or after one."""
        gap, far = gap_frames(self._options, clock), clock.frames(self._options.guide.timing.shot_far_s)
        for number, cue in enumerate(self._cues, 1):
            start, end = clock.frame_from(cue.start_ms), clock.frame_from(cue.end_ms)
            shot = clock.next_shot(start)
            if shot is not None and shot - start < far:
                yield BrokenAt(number, "speech_before")
                continue
            shot = clock.last_shot(end + far - 1)
            if shot is not None and start < shot and end != shot - gap and abs(end - shot) < far:
                chained = number < len(self._cues) and self._cues[number].start_ms - cue.end_ms < LINGER_MS
                yield BrokenAt(number, "next_cue" if chained else "to_be_read")


def chars_per_second(cue: Cue, options: SubtitleOptions) -> float:
    """Return characters a second; in Chinese, Japanese and Korean a narrow character counts half."""
    columns_per_char = profile_of(cue.text, options).columns_per_char
    return 1000 * sum(map(count_columns, cue.lines)) / columns_per_char / max(1, cue.duration_ms)


def is_too_fast(cue: Cue, options: SubtitleOptions) -> bool:
    """Return whether a cue asks for a higher reading speed than the options allow."""
    profile = profile_of(cue.text, options)
    return chars_per_second(cue, options) * profile.columns_per_char > profile.columns_per_second


def has_long_lines(cue: Cue, options: SubtitleOptions) -> bool:
    """Return whether a cue has a line that is too long, or too many lines."""
    limit = profile_of(cue.text, options).line_columns
    return len(cue.lines) > options.max_lines or any(count_columns(line) > limit for line in cue.lines)


def is_across_pause(cue: Cue, max_pause_s: float) -> bool:
    """Return whether there is a longer pause between two words of a cue."""
    sounding = [word for word in cue.words if is_sounding(word.text)]
    spoken_to_s = accumulate((word.end_s for word in sounding), max)
    return any(
        round(after.start_s * 1000) - round(end_s * 1000) > round(max_pause_s * 1000)
        for end_s, after in zip(spoken_to_s, sounding[1:], strict=False)
    )


def _joints(cue: Cue) -> int:
    """Return how many lines of a cue begin in a script without spaces, where a break makes no new word."""
    pairs = zip(cue.lines, cue.lines[1:], strict=False)
    return sum(is_spaceless(before[-1]) or is_spaceless(after[0]) for before, after in pairs)
