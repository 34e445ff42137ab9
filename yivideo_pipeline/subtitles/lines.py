"""Break one cue's text into lines that are balanced and end where the reader would pause."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from yivideo_pipeline.subtitles.breaks import Break
from yivideo_pipeline.subtitles.tokens import Token

EXTRA_LINE_COST = 0.3
BREAK_WEIGHT = 0.5
"""A line break inside a cue disturbs less than a break between cues."""
IMBALANCE_WEIGHT = 3.0
TOP_HEAVY_FACTOR = 1.5
"""Two lines read best as a pyramid: the upper one the shorter."""


class LineSetter:
    """Sets any run of one stretch's tokens in lines; all its answers are about tokens `start` to `end`."""

    def __init__(self, tokens: Sequence[Token], breaks: Sequence[Break], line_columns: int) -> None:
        self._tokens = tokens
        self._breaks = breaks
        self._line_columns = line_columns
        self._ends = list(accumulate((token.columns + token.spaced for token in tokens), initial=0))

    def columns(self, start: int, end: int) -> int:
        """Columns of the tokens set in one line."""
        return self._ends[end] - self._ends[start] - self._tokens[start].spaced

    def count_lines(self, start: int, end: int) -> int:
        """The fewest lines that hold the tokens."""
        lines, line_start = 1, start
        for index in range(start, end):
            if self.columns(line_start, index + 1) > self._line_columns:
                lines, line_start = lines + 1, index
        return lines

    def best_cost(self, start: int, end: int, lines: int) -> float:
        """What the best setting in so many lines costs."""
        return self._best(start, end, lines)[0]

    def set_lines(self, start: int, end: int) -> tuple[str, ...]:
        """The text in the fewest lines that hold it, broken at the best places."""
        places = (start, *self._best(start, end, self.count_lines(start, end))[1], end)
        return tuple(self._text(a, b) for a, b in pairwise(places))

    def _best(self, start: int, end: int, lines: int) -> tuple[float, tuple[int, ...]]:
        """Cost and break places of the best setting, line by line over every place a line may end."""
        ideal = self.columns(start, end) / lines
        reached: dict[int, tuple[float, tuple[int, ...]]] = {start: (0.0, ())}
        for line in range(1, lines):
            longer: dict[int, tuple[float, tuple[int, ...]]] = {}
            for line_start, (cost, places) in reached.items():
                for place in range(line_start + 1, end - (lines - line) + 1):
                    if self.columns(line_start, place) > self._line_columns:
                        break
                    total = cost + self._line_cost(line_start, place, ideal)
                    if place not in longer or total < longer[place][0]:
                        longer[place] = (total, (*places, place))
            reached = longer
        return min(
            (cost + self._shape_cost(place, end, ideal, last=True), places)
            for place, (cost, places) in reached.items()
            if self.columns(place, end) <= self._line_columns or lines == 1
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
