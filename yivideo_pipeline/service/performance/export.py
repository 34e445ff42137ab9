"""Samples as a file, in the names of `telemetry.sample.PerformanceSample` and some more."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from yivideo_pipeline.service.performance.history import Tables
from yivideo_pipeline.service.performance.summary import within
from yivideo_pipeline.service.performance.window import Window
from yivideo_pipeline.service.performance.works import request_works, stage_works
from yivideo_pipeline.storage.scratch import scratch_folder

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["json", "csv", "parquet"]
MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
NAMES = {
    "at": "timestamp",
    "operation": "operation",
    "duration_s": "duration",
    "memory_mb": "memory_usage_mb",
    "cpu_pct": "cpu_usage_percent",
    "gpu_memory_mb": "gpu_memory_usage_mb",
    "batch_size": "batch_size",
    "audio_s": "audio_duration",
    "success": "success",
    "key": "video",
    "run_id": "run_id",
    "kind": "error",
}
_ROWS = 5000
_BYTES = 1024 * 1024


def export_table(tables: Tables, operation: str | None, window: Window) -> "pd.DataFrame":
    """Return the samples of an operation, the oldest first; of all: each stage, and each request."""
    import pandas as pd

    if operation is None:
        works = pd.concat([stage_works(tables.samples), request_works(tables.requests)], ignore_index=True)
    else:
        works = tables.operations(operation)
    chosen = within(works, window).sort_values("at", kind="stable", ignore_index=True)
    return chosen[[*NAMES]].rename(columns=NAMES).astype({"batch_size": "Int64", "success": bool})


def write_export(table: "pd.DataFrame", kind: Format, folder: Path) -> Iterator[bytes]:
    """Return the file's bytes, piece by piece.

    Args:
        table: As `export_table` makes it.
        kind: The file's format.
        folder: Where there is room to work.
    """
    if kind == "parquet":
        return _parquet(table, folder)
    return _csv(table) if kind == "csv" else _json(table)


def _csv(table: "pd.DataFrame") -> Iterator[bytes]:
    for start in range(0, max(1, len(table)), _ROWS):
        yield table.iloc[start : start + _ROWS].to_csv(index=False, header=start == 0).encode()


def _json(table: "pd.DataFrame") -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(table), _ROWS):
        part = table.iloc[start : start + _ROWS].astype(object)
        rows = part.where(part.notna(), None).to_dict("records")
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        yield (",\n" if start else "").encode() + lines.encode()
    yield b"]\n"


def _parquet(table: "pd.DataFrame", folder: Path) -> Iterator[bytes]:
    with scratch_folder(folder) as work:
        path = work / "samples.parquet"
        table.to_parquet(path, engine="pyarrow", index=False)
        with path.open("rb") as file:
            while piece := file.read(_BYTES):
                yield piece
