"""Whether text runs from right to left, for players that don't find it out by themselves."""

import unicodedata

RIGHT_TO_LEFT_MARK = "\u200f"
RIGHT_TO_LEFT_SHARE = 0.4
"""From this share of Hebrew or Arabic letters on, a line runs from right to left."""


def direction_mark(line: str) -> str:
    """Return an invisible mark to stand before a line whose first letter tells its direction wrongly."""
    return RIGHT_TO_LEFT_MARK if _directions(line)[:1] == ["L"] and runs_right_to_left(line) else ""


def runs_right_to_left(text: str) -> bool:
    """Return whether enough letters of a text do."""
    directions = _directions(text)
    return bool(directions) and 1 - directions.count("L") / len(directions) >= RIGHT_TO_LEFT_SHARE


def _directions(text: str) -> list[str]:
    """Return the direction of each letter: L, R (Hebrew) or AL (Arabic)."""
    return [kind for kind in map(unicodedata.bidirectional, text) if kind in ("L", "R", "AL")]
