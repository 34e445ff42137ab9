"""Cuts a transcript into cues, the pieces of text that a viewer sees at once, and cues into lines.

Speech between two long pauses is cut as a whole (`CueSearch`). Each possible cue has a cost (too fast, too
short, ends in the middle of a phrase, ...) that depends on nothing outside it but the next token's start, so
the cheapest cut is found exactly, by dynamic programming over the tokens: O(n * window), where the window is
what fits one cue. Greedy filling, the usual way, leaves a lone word wherever a sentence is one word longer
than a cue. The lines of a cue are found likewise (`LineBreaker`): balanced, and ended where the reader would
pause.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from typing import TYPE_CHECKING

from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.subtitles.breaks import Break, rate_breaks
from yivideo_pipeline.subtitles.grammar import grammar_of
from yivideo_pipeline.subtitles.timing import MIN_SPACING_MS, CueTiming, FrameClock, clock_of
from yivideo_pipeline.subtitles.tokens import Token, profile_of, split_wide, tokenize

if TYPE_CHECKING:  # it opens media, which takes a while to import
    from yivideo_pipeline.media.shots import Picture

LINE_END_MARKS = "，、。"
"""Broadcasters in China leave these out at the end of a line, and no other marks."""

TURN_DASHES = "-–"
"""A dash before a sentence stands for another speaker, who has a line of their own."""

CUE_COST = 1.0
SENTENCE_INSIDE_COST = 2.0
PAUSE_INSIDE_COST = 1.2
"""Cost of a one-second pause inside a cue, counted from `FREE_PAUSE_MS` on."""
FREE_PAUSE_MS = 300
FAST_COST = 10.0
"""Cost of a cue that would need twice the time it has."""
SHORT_COST = 6.0
BROKEN_COST = 1000.0
"""Cost of each limit that a cue breaks, where the guide is strict: more than any text may cost, so that the
cheapest cut is one that breaks as few as possible."""
ORPHAN_COST = 2.0
ORPHAN_LINE_SHARE = 0.25

EXTRA_LINE_COST = 0.3
BREAK_WEIGHT = 0.5
"""A line break inside a cue disturbs less than a break between cues."""
IMBALANCE_WEIGHT = 3.0
TOP_HEAVY_FACTOR = 1.5
"""Two lines read best as a pyramid, the upper one shorter."""


@dataclass(frozen=True, slots=True)
class Cue:
    """One or more lines of text, when they are shown, and the words in them; `language` where it is known."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    words: tuple[Word, ...]
    language: str | None = None

    @property
    def text(self) -> str:
        """The lines, joined by line breaks."""
        return "\n".join(self.lines)

    @property
    def duration_ms(self) -> int:
        """How long the cue is shown."""
        return self.end_ms - self.start_ms


def build_cues(
    transcript: Transcript,
    options: SubtitleOptions,
    end_s: float | None = None,
    picture: "Picture | None" = None,
) -> tuple[Cue, ...]:
    """Cut a transcript into cues that are in order, never overlap and all have a length.

    A cue starts when its first word does. It ends up to half a second after its last word; later where it
    would be too short or too fast to read, earlier where the next cue needs the time. No cue spans a pause
    longer than the options allow, or two languages, and none is shown after the video's end. The limits on
    lines are exceeded only where words share one start, so that no cut is possible between them. A style
    guide may move both ends to frames and away from shot changes.

    Args:
        transcript: The words.
        options: The limits and the guide.
        end_s: When the video ends; by default, when its sound does.
        picture: The video's frames and shots, for the guides that look at them.
    """
    known_end_s = transcript.end_s if end_s is None else end_s
    end_ms = inf if known_end_s is None else int(known_end_s * 1000)
    clock = clock_of(options, picture)
    max_pause_ms = round(options.max_pause_s * 1000)
    passages = _split_at_pauses(tokenize(transcript, max_pause_ms), max_pause_ms)
    cuts: list[PassageCut] = []
    for passage in passages:
        cuts.append(PassageCut(passage, options, end_ms, clock, cuts[-1] if cuts else None))
    next_starts = [*(cut.starts_ms[0] for cut in cuts[1:]), inf]
    return tuple(
        cue for cut, next_start_ms in zip(cuts, next_starts, strict=False) for cue in cut.cues(next_start_ms)
    )


def _split_at_pauses(tokens: list[Token], max_pause_ms: int) -> Iterator[list[Token]]:
    passage: list[Token] = []
    spoken_to = 0
    for token in tokens:
        paused = token.start_ms - spoken_to > max_pause_ms
        if passage and (paused or token.language != passage[-1].language):
            yield passage
            passage = []
        passage.append(token)
        spoken_to = max(spoken_to, token.end_ms)
    if passage:
        yield passage


class PassageCut:
    """The tokens between two long pauses, of one language, and when a cue begins that begins with each."""

    def __init__(
        self,
        tokens: Sequence[Token],
        options: SubtitleOptions,
        end_ms: float,
        clock: FrameClock | None,
        before: "PassageCut | None",
    ) -> None:
        profile = profile_of("".join(token.text for token in tokens), options)
        self._options = options
        self._units = split_wide(tokens, profile.line_columns)
        self._language = tokens[0].language
        self._breaks = rate_breaks(self._units, grammar_of(self._language))
        self._timing = CueTiming(options, profile, end_ms, clock)
        self.spoken_to_ms = max(token.end_ms for token in tokens)
        self.starts_ms = self._timing.starts_ms(self._units, before.spoken_to_ms if before else 0)

    def cues(self, next_start_ms: float) -> Iterator[Cue]:
        """Yield the cues of the cheapest cut, given when the next passage's first cue starts."""
        starts = [*self.starts_ms, next_start_ms]
        search = CueSearch(self._units, self._breaks, starts, self._timing)
        for start, end in search.cut():
            words = tuple(word for unit in self._units[start:end] for word in unit.words)
            lines = search.lines.break_lines(start, end)
            if not self._options.keep_line_end_marks:
                lines = tuple(line.rstrip(LINE_END_MARKS) or line for line in lines)
            yield Cue(self.starts_ms[start], search.end_ms(start, end), lines, words, self._language)


class CueSearch:
    """Searches the cheapest way to cut the tokens between two long pauses into cues."""

    def __init__(
        self, tokens: Sequence[Token], breaks: Sequence[Break], starts_ms: Sequence[float], timing: CueTiming
    ) -> None:
        self.lines = LineBreaker(tokens, breaks, timing.line_columns)
        self._tokens = tokens
        self._breaks = breaks
        self._timing = timing
        self._starts = starts_ms
        """When a cue begins that begins with each token; at the end, when the cue after the passage does."""
        self._sentences = list(accumulate((b.ends_sentence for b in breaks), initial=0))
        overlong = (max(0, b.pause_ms - FREE_PAUSE_MS) / 1000 for b in breaks)
        self._pauses = list(accumulate(overlong, initial=0.0))

    def end_ms(self, start: int, end: int) -> int:
        """Return when the cue of tokens `start` to `end` ends."""
        spoken_to = max(token.end_ms for token in self._tokens[start:end])
        return self._end_ms(start, end, spoken_to)

    def cut(self) -> list[tuple[int, int]]:
        """Return the cheapest cut into cues, as token ranges.

        No part of a cost is negative, so the parts that take longer to compute are computed only while the
        sum of the others can still win.
        """
        total = len(self._tokens)
        best, came_from = [0.0, *[inf] * total], [0] * (total + 1)
        for start in range(total):
            if best[start] == inf:
                continue
            for end, lines, spoken_to in self._candidates(start):
                cost = best[start] + self._text_cost(start, end)
                if cost < best[end]:
                    cost += self._time_cost(start, end, spoken_to)
                if cost < best[end] and lines > 1:
                    cost += self.lines.best_cost(start, end, lines)
                if cost < best[end]:
                    best[end], came_from[end] = cost, start
        return self._trace_back(came_from)

    def _candidates(self, start: int) -> Iterator[tuple[int, int, int]]:
        """Yield the cues that may begin here: where each ends, its lines, and the end of its speech.

        The shortest one is always among them, even where it breaks a limit, so that any input can be cut.
        """
        tokens, timing = self._tokens, self._timing
        lines, line_start, spoken_to, found = 1, start, 0, False
        for end in range(start + 1, len(tokens) + 1):
            is_full = self.lines.columns(line_start, end) > timing.line_columns
            if is_full or self.lines.is_turn_inside(line_start, end):
                lines, line_start = lines + 1, end - 1
            spoken_to = max(spoken_to, tokens[end - 1].end_ms)
            too_long = spoken_to - tokens[start].start_ms > timing.max_duration_ms
            if found and (lines > timing.max_lines or too_long):
                return
            if self._may_cut(start, end):
                found = True
                yield end, lines, spoken_to

    def _may_cut(self, start: int, end: int) -> bool:
        if end == len(self._tokens):
            return True
        return bool(self._tokens[end].words) and self._starts[end] - self._starts[start] >= MIN_SPACING_MS

    def _time_cost(self, start: int, end: int, spoken_to: int) -> float:
        shown_ms = self._end_ms(start, end, spoken_to) - self._starts[start]
        hurry = self._timing.reading_ms(self.lines.columns(start, end)) / shown_ms - 1
        shortness = 1 - shown_ms / self._timing.min_duration_ms
        broken = BROKEN_COST * ((hurry > 0) + (shortness > 0)) if self._timing.rules.is_strict else 0.0
        return broken + FAST_COST * max(0.0, hurry) + SHORT_COST * max(0.0, shortness)

    def _text_cost(self, start: int, end: int) -> float:
        cost = CUE_COST
        cost += SENTENCE_INSIDE_COST * (self._sentences[end] - self._sentences[start + 1])
        cost += PAUSE_INSIDE_COST * (self._pauses[end] - self._pauses[start + 1])
        at_end = end == len(self._tokens)
        if not at_end:
            cost += self._breaks[end].cost
        whole = self._breaks[start].ends_sentence and (at_end or self._breaks[end].ends_sentence)
        narrow = self.lines.columns(start, end) <= ORPHAN_LINE_SHARE * self._timing.line_columns
        return cost + ORPHAN_COST * (narrow and not whole)

    def _end_ms(self, start: int, end: int, spoken_to: int) -> int:
        columns = self.lines.columns(start, end)
        return self._timing.end_ms(int(self._starts[start]), spoken_to, self._starts[end], columns)

    def _trace_back(self, came_from: list[int]) -> list[tuple[int, int]]:
        ranges, end = [], len(self._tokens)
        while end:
            ranges.append((came_from[end], end))
            end = came_from[end]
        return ranges[::-1]


class LineBreaker:
    """Breaks any run of tokens, `start` to `end`, into lines."""

    def __init__(self, tokens: Sequence[Token], breaks: Sequence[Break], line_columns: int) -> None:
        self._tokens = tokens
        self._breaks = breaks
        self._line_columns = line_columns
        self._ends = list(accumulate((token.columns + token.spaced for token in tokens), initial=0))
        turns = (
            bool(token.words) and token.text[0] in TURN_DASHES and place.ends_sentence
            for token, place in zip(tokens, breaks, strict=True)
        )
        self._turns = list(accumulate(turns, initial=0))

    def columns(self, start: int, end: int) -> int:
        """Return the columns of the tokens in one line."""
        return self._ends[end] - self._ends[start] - self._tokens[start].spaced

    def is_turn_inside(self, start: int, end: int) -> bool:
        """Return whether another speaker begins among the tokens after the first."""
        return self._turns[end] > self._turns[start + 1]

    def count_lines(self, start: int, end: int) -> int:
        """Return the smallest number of lines that hold the tokens."""
        lines, line_start = 1, start
        for index in range(start, end):
            is_full = self.columns(line_start, index + 1) > self._line_columns
            if is_full or self.is_turn_inside(line_start, index + 1):
                lines, line_start = lines + 1, index
        return lines

    def best_cost(self, start: int, end: int, lines: int) -> float:
        """Return the cost of the best layout in so many lines."""
        return self._best(start, end, lines)[0]

    def break_lines(self, start: int, end: int) -> tuple[str, ...]:
        """Return the text in as few lines as possible, broken at the best places."""
        places = (start, *self._best(start, end, self.count_lines(start, end))[1], end)
        return tuple(self._text(a, b) for a, b in pairwise(places))

    def _best(self, start: int, end: int, lines: int) -> tuple[float, tuple[int, ...]]:
        """Return cost and break places of the best layout, found line by line over all possible line ends."""
        ideal = self.columns(start, end) / lines
        reached: dict[int, tuple[float, tuple[int, ...]]] = {start: (0.0, ())}
        for line in range(1, lines):
            longer: dict[int, tuple[float, tuple[int, ...]]] = {}
            for line_start, (cost, places) in reached.items():
                for place in range(line_start + 1, end - (lines - line) + 1):
                    if self.columns(line_start, place) > self._line_columns:
                        break
                    if self.is_turn_inside(line_start, place):
                        break
                    total = cost + self._line_cost(line_start, place, ideal)
                    if place not in longer or total < longer[place][0]:
                        longer[place] = (total, (*places, place))
            reached = longer
        return min(
            (cost + self._shape_cost(place, end, ideal, last=True), places)
            for place, (cost, places) in reached.items()
            if (self.columns(place, end) <= self._line_columns and not self.is_turn_inside(place, end))
            or lines == 1
        )

    def _line_cost(self, start: int, end: int, ideal: float) -> float:
        shape = self._shape_cost(start, end, ideal, last=False)
        return EXTRA_LINE_COST + BREAK_WEIGHT * self._breaks[end].cost + shape

    def _shape_cost(self, start: int, end: int, ideal: float, last: bool) -> float:
        deviation = (self.columns(start, end) - ideal) / self._line_columns
        top_heavy = deviation > 0 and not last
        return IMBALANCE_WEIGHT * deviation**2 * (TOP_HEAVY_FACTOR if top_heavy else 1.0)

    def _text(self, start: int, end: int) -> str:
        first, *others = self._tokens[start:end]
        return first.text + "".join(f"{' ' if token.spaced else ''}{token.text}" for token in others)
