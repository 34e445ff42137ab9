"""Text for a terminal or a pipe: whatever a file is called, a line stays one harmless line."""

import json
import logging
import math
import os
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from yivideo_pipeline.errors.redact import redact
from yivideo_pipeline.errors.tree import ConfigError, DiskError, YivideoError

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


# PART cli/tables.py: What a command answers with: a table for people, JSON for programs.


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below their headings; whatever a cell holds stays harmless."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    open_console().print(table)


def print_json(value: object) -> None:
    """Print a value as JSON, in ASCII: valid whatever the terminal's character set and a file's name."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


# PART cli/exits.py: How the command ends: exit codes, and what is said about an error.


class Exit(IntEnum):
    """Exit codes; 130 is a shell's own for a program that Ctrl-C stopped."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


class WrongUsage(YivideoError):
    """The command line asks for what is not there or can't be."""

    kind = "usage"


def exit_code(error: YivideoError) -> Exit:
    """Return the exit code for an error that ends the command."""
    return Exit.USAGE if isinstance(error, WrongUsage | ConfigError) else Exit.FAILED


def complain(text: str) -> None:
    """Say on stderr what stops the command."""
    open_console(stderr=True).print(f"yivideo: {text}")


def complain_of(error: YivideoError) -> None:
    """Say an error and what to do about it; settings have a line for each that is wrong."""
    if isinstance(error, ConfigError):
        for line in error.message.splitlines():
            complain(sentences(line))
        if error.hint:
            complain(sentences(error.hint))
    else:
        complain(sentences(error.message, error.hint))


# PART cli/logs.py: The log file: what a person need not see, kept where they can find it.

MAX_BYTES = 5 * 2**20
KEPT = 3
FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


class _Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Take secrets out of the whole record, its traceback among it."""
        return redact(super().format(record))


def rotating_handler(folder: Path, name: str, line_format: str = FORMAT) -> RotatingFileHandler:
    """Open a log file that never holds a secret and never grows over 5 MB; three old ones are kept.

    Raises:
        DiskError: it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            folder / name, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        raise DiskError(
            f"The log in {folder} can't be written ({error.strerror})",
            "Make YIVIDEO_HOME a folder that you may write",
        ) from error
    handler.setFormatter(_Redacting(line_format))
    return handler


def open_log(home: Path) -> None:
    """Send this process's log and Python's warnings to `logs/yivideo.log` under the home folder.

    Raises:
        DiskError: it can't be written.
    """
    root = logging.getLogger()
    root.addHandler(rotating_handler(home / "logs", "yivideo.log"))
    root.setLevel(logging.WARNING)
    logging.getLogger("yivideo_pipeline").setLevel(logging.INFO)
    logging.captureWarnings(True)


def log_path() -> Path | None:
    """Return the log file of this process; None where none was opened."""
    handlers = logging.getLogger().handlers
    return next((Path(one.baseFilename) for one in handlers if isinstance(one, RotatingFileHandler)), None)
