"""The reports as files, under the home folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from yivideo_pipeline.storage.file_store import FileStore

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "reports"


def write(home: Path, name: str, data: bytes) -> Path:
    """Write a report as a whole, in place of one of the same name; returns where it is."""
    FileStore(home / FOLDER).write(name, data)
    return home / FOLDER / name


def csv_of(table: "pd.DataFrame", *, index: bool = False) -> bytes:
    """Return a table as a CSV file that spreadsheets open with every letter right."""
    # Excel takes a file without the mark for one of the country's old encodings.
    return table.to_csv(index=index, float_format="%.4f").encode("utf-8-sig", "replace")
