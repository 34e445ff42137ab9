"""Markdown made of plain values."""

from collections.abc import Iterable, Sequence

_SPECIAL = "\\`*_{}[]<>()#+!|~"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, in one line."""
    escaped = "".join(f"\\{char}" if char in _SPECIAL else char for char in text)
    return " ".join(escaped.split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts, escaped."""
    lines = [head, ["---"] * len(head), *([escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
