"""What a command answers with: a table for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from yivideo_pipeline.cli.console import open_console, printable


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
