"""Text for a terminal or a pipe: whatever a file is called, a line stays one harmless line."""

import math
import os
import sys
import unicodedata
from datetime import datetime
from pathlib import Path

from rich.console import Console

_PLAIN_WIDTH = 10_000
"""Nobody sees where a pipe's lines end: nothing is folded or cut there."""
_JOINERS = "\u200c\u200d"


def printable(text: str) -> str:
    """Spell out what would act on a terminal: control characters, direction marks, undecodable bytes."""
    return "".join(char if _is_plain(char) else _spell(char) for char in text)


def one_line(text: str) -> str:
    """Put a message of several lines on one."""
    return printable("; ".join(line.strip() for line in text.splitlines() if line.strip()))


def sentences(message: str, hint: str = "") -> str:
    """Join what happened and what to do about it, each closed by a full stop."""
    parts = [one_line(part) for part in (message, hint) if part]
    return " ".join(part if part.endswith((".", "!", "?", "…")) else f"{part}." for part in parts)


def show_path(path: Path) -> str:
    """Write a path as short as it can be from here."""
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path
    return printable(os.fspath(shown))


def clock(seconds: float) -> str:
    """Write a length of time as 0:07, 3:05 or 1:02:03."""
    whole = max(0, round(seconds)) if math.isfinite(seconds) else 0
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def moment(at: float) -> str:
    """Write a moment (Unix seconds) as 2026-03-01 14:05, in the time zone of this machine."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")


def open_console(*, stderr: bool = False) -> Console:
    """Return a console that takes text as it is: brackets in a file's name are no markup."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream,
        width=None if stream.isatty() else _PLAIN_WIDTH,
        soft_wrap=True,
        markup=False,
        highlight=False,
        emoji=False,
    )


def _is_plain(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs" or char in _JOINERS


def _spell(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # how Python carries a byte that is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
