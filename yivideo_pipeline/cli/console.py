"""What commands print: text that is harmless on a terminal, tables, JSON, errors; and their exit codes."""

import json
import math
import os
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from yivideo_pipeline.errors.tree import ConfigError, YivideoError
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.storage.remote_paths import AnyPath

_PIPE_WIDTH = 10_000
"""Lines to a pipe are neither folded nor cut."""
_has_answered = False
"""Whether this process has printed its JSON."""
_COLUMNS = re.compile(r".{0,30} {2,}")
_JOINERS = "\u200c\u200d"


class Exit(IntEnum):
    """Exit codes of the command; 130 is what a shell reports for a program that Ctrl-C stopped."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


class WrongUsage(YivideoError):
    """The command line asks for something that does not exist or is not possible."""

    kind = "usage"


def exit_code(error: YivideoError) -> Exit:
    """Return the exit code for an error that ends the command."""
    return Exit.USAGE if isinstance(error, WrongUsage | ConfigError) else Exit.FAILED


def print_error(error: YivideoError) -> None:
    """Print an error and what to do about it on stderr; wrong settings have a line each."""
    if isinstance(error, ConfigError):
        for line in error.message.splitlines():
            print_problem(sentences(line))
        if error.hint:
            print_problem(sentences(error.hint))
    else:
        print_problem(sentences(error.message, error.hint))


def print_problem(text: str) -> None:
    """Print one line on stderr about what stops the command."""
    open_console(stderr=True).print(f"yivideo: {text}")


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str | Sequence[str]]],
    *,
    numbers: Collection[str] = (),
    console: Console | None = None,
) -> None:
    """Print rows below their headings; whatever a cell holds is made harmless.

    Where the table is wider than the terminal, each row becomes a paragraph: no cell breaks inside a path.

    Args:
        headings: Names of the columns.
        rows: Texts of the cells; a cell may be a list of lines.
        numbers: The columns of numbers, which are set to the right.
        console: Where it is printed; by default stdout.
    """
    console = console or open_console()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for heading in headings:
        table.add_column(Text(heading), justify="right" if heading in numbers else "left")
    shown = [[_show_cell(cell) for cell in row] for row in rows]
    for row in shown:
        table.add_row(*map(Text, row))
    if console.measure(table, options=console.options.update_width(_PIPE_WIDTH)).maximum <= console.width:
        console.print(table)
        return
    for first, *others in shown:
        named = zip(headings[1:], others, strict=True)
        cells = [f"{heading}: {cell}" if heading else cell for heading, cell in named if cell]
        console.print(f"{first}\n{break_lines('; '.join(cells), console.width, '  ')}")


def _show_cell(cell: str | Sequence[str]) -> str:
    return "\n".join(map(printable, [cell] if isinstance(cell, str) else cell))


def print_json(value: object) -> None:
    """Print a value as JSON on stdout.

    It is ASCII: valid for any character set of the terminal, and for file names that are not UTF-8.
    """
    global _has_answered
    _has_answered = True
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_json_error(error: YivideoError) -> None:
    """Print why there is no other JSON, where a command was asked for some and printed none."""
    if not _has_answered:
        print_json({"error": {"kind": error.kind, "message": error.message, "hint": error.hint}})


class _WordConsole(Console):
    """A console on which lines of text break between words; a longer word is left to the terminal."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print text broken into lines, and anything else as rich does."""
        if len(objects) == 1 and isinstance(objects[0], str | Text):
            given = objects[0] if isinstance(objects[0], Text) else Text(objects[0])
            plain = break_lines(given.plain, self.width) if self.is_terminal else given.plain
            super().print(Text(plain, style=given.style), soft_wrap=True, **options)
        else:
            super().print(*objects, **options)


def break_lines(text: str, width: int, indent: str = "") -> str:
    """Break text between its words, so that a path or a long word stays whole and can be copied.

    Args:
        text: The text. Where a line begins with columns, two spaces or more apart, it goes on below the last.
        width: Columns of the terminal.
        indent: What stands before every line.
    """
    lines = []
    for paragraph in text.split("\n"):
        columns = _COLUMNS.match(paragraph)
        line, hanging = indent, " " * (columns.end() if columns else 0) + indent
        for word in re.findall(r" *[^ ]+", paragraph):
            if line.strip() and cell_len(line + word) > width:
                lines.append(line)
                line = hanging + word.lstrip()
            else:
                line += word
        lines.append(line)
    return "\n".join(lines)


def open_console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is: brackets in a file's name are no markup.

    On a terminal lines break between words, never in a word or a path.
    """
    stream = sys.stderr if stderr else sys.stdout
    return _WordConsole(
        file=stream,
        width=None if stream.isatty() else _PIPE_WIDTH,
        markup=False,
        highlight=False,
        emoji=False,
    )


def printable(text: str) -> str:
    """Escape what would act on a terminal: control characters, direction marks, undecodable bytes."""
    return "".join(char if _is_plain(char) else _escape(char) for char in text)


def one_line(text: str) -> str:
    """Join the lines of a message into one."""
    return printable("; ".join(line.strip() for line in text.splitlines() if line.strip()))


def sentences(message: str, hint: str = "") -> str:
    """Join what happened and what to do about it, each ended by a full stop."""
    parts = [one_line(part) for part in (message, hint) if part]
    return " ".join(part if part.endswith((".", "!", "?", "…")) else f"{part}." for part in parts)


def show_path(path: AnyPath) -> str:
    """Format a path, relative to the working directory where it lies below it, or an object's URL."""
    if not isinstance(path, Path):
        return printable(str(path))
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path
    return printable(os.fspath(shown))


def clock(seconds: float) -> str:
    """Format a duration as 0:07, 3:05 or 1:02:03."""
    whole = max(0, round(seconds)) if math.isfinite(seconds) else 0
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def moment(at: float) -> str:
    """Format a time (Unix seconds) as 2026-03-01 14:05, in this machine's time zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")


def file_size(size_bytes: int) -> str:
    """Format a size; less than 0.1 MB in bytes or kB, so that an empty file shows as one."""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    if size_bytes >= 1e5:
        return f"{size_bytes / 1e6:.1f} MB"
    return f"{size_bytes / 1e3:.1f} kB" if size_bytes >= 1e3 else plural(size_bytes, "byte")


def _is_plain(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs" or char in _JOINERS


def _escape(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # how Python carries a byte that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
