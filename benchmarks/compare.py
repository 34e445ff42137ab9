"""Compares yivideo with the whisperx program and with faster-whisper, and prints one table.

Every contender is its own process, measured from start to end, on the same sound with the same
weights. With several runs they alternate, and the table has the medians.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.clips import RATE_HZ, join_clips, load_english, write_flac
from benchmarks.contenders import (
    BATCH,
    BEAM,
    COMPUTE_TYPE,
    LIMIT,
    THREADS,
    WHISPERX,
    Contender,
    Task,
    line_up,
)
from benchmarks.process import Usage, measure
from benchmarks.short_clips import measure_short_clips
from benchmarks.words import count_errors_by_clip
from yivideo_pipeline.comparison.accuracy import NORMALIZER, bootstrap_difference
from yivideo_pipeline.speech.weights import find_weights

ROOT = Path(__file__).resolve().parents[1]
LIMIT_FACTOR, LIMIT_PLUS_S = 1.15, 3.0
"""How much longer than the limit the whole command may take."""


@dataclass
class Row:
    """A contender's runs, and errors and words of each clip in the last; `note` says why there are none."""

    runs: list[Usage] = field(default_factory=list)
    errors: list[tuple[int, int]] = field(default_factory=list)
    note: str = ""

    @property
    def wer(self) -> float | None:
        """Word error rate, 0 to 1 and over; None of one that transcribed nothing."""
        words = sum(count for _, count in self.errors)
        return sum(count for count, _ in self.errors) / words if words else None

    def median(self, figure: str) -> float:
        """Median of one of `Usage`'s figures."""
        return statistics.median(getattr(run, figure) for run in self.runs)


def main() -> int:
    """Make the sound, run every contender on it, print the table; returns 1 if a program failed."""
    given = _read_arguments()
    source, clips = load_english()
    sound, texts = join_clips(clips, given.minutes * 60)
    audio_s = len(sound) / RATE_HZ
    model_dir = ROOT / "data" / "models"
    weights = find_weights(given.model, model_dir).folder
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory(prefix="yivideo-bench-") as temporary:
        folder = Path(temporary)
        task = Task(folder / "speech.flac", given.model, weights, model_dir)
        write_flac(sound, task.audio)
        for run in range(given.runs):
            for contender in line_up(task, folder / str(run), given.whisperx):
                run_once(contender, rows.setdefault(contender.name, Row()), folder / "log", texts)
        clips = measure_short_clips(task, folder / "clips", given.whisperx)
    failed = any(row.note for row in rows.values())
    rows.setdefault(WHISPERX, Row(note="not installed: make bench-setup"))
    console = Console(width=None if os.isatty(1) else 140, highlight=False)
    console.print(_describe(f"{audio_s:.0f} s of speech from {source}", given.model, given.runs))
    console.print(render(rows, audio_s))
    for name, row in rows.items():
        if row.note:
            console.print(f"{name}: {row.note}", markup=False)
    if limit := rows.get(LIMIT, Row()).runs:
        allowed_s = LIMIT_FACTOR * limit[-1].wall_s + LIMIT_PLUS_S
        console.print(f"{LIMIT}, and 15% + 3 s for all else: {allowed_s:.1f} s", markup=False)
    ours = next(row for row in rows.values() if row.errors or row.note)
    for name, row in rows.items():
        if ours.errors and row.errors and row is not ours:
            difference = bootstrap_difference(ours.errors, row.errors)
            console.print(f"WER of yivideo, minus that of {name}: {difference}", markup=False)
    console.print(f"WER after: {NORMALIZER}; intervals of 95% by a paired bootstrap over the clips.")
    console.print(clips)
    return int(failed)


def run_once(contender: Contender, row: Row, log: Path, texts: list[str]) -> None:
    """Measure one run into its row; a failed run is recorded by its exit code and last line."""
    usage = measure(contender.command, contender.environment, log)
    if usage.exit_code != 0:
        last = log.read_text(errors="replace").strip().rpartition("\n")[2]
        row.note = f"exit {usage.exit_code}: {last}"
        return
    if contender.output is not None:
        transcript = json.loads(next(contender.output.glob("*.json")).read_text(encoding="utf-8"))
        own = {figure: transcript[figure] for figure in ("wall_s", "cpu_s") if figure in transcript}
        usage = replace(usage, **own)  # of the limit, which is a part of its process
        recognized = " ".join(segment["text"] for segment in transcript["segments"])
        row.errors = count_errors_by_clip(texts, recognized)
    row.runs.append(usage)


def render(rows: dict[str, Row], audio_s: float) -> Table:
    """Return the table of medians, with their ratios to the whisperx program's if it ran."""
    table = Table("program")
    for heading in (
        "wall s",
        "× real time",
        "CPU s",
        "peak MB",
        "WER %",
        "wall / whisperx",
        "peak / whisperx",
    ):
        table.add_column(heading, justify="right")
    baseline = rows[WHISPERX]
    for name, row in rows.items():
        if not row.runs:
            table.add_row(name, "-")
            continue
        wall_s, peak_mb = row.median("wall_s"), row.median("peak_mb")
        cells = [f"{wall_s:.2f}", "", f"{row.median('cpu_s'):.2f}", f"{peak_mb:.0f}"]
        if row.wer is not None:  # the others transcribe nothing: no speed, nothing to compare with
            cells[1] = f"{audio_s / wall_s:.1f}"
            cells.append(f"{100 * row.wer:.1f}")
        if row.wer is not None and baseline.runs:
            cells.append(f"{wall_s / baseline.median('wall_s'):.2f}")
            cells.append(f"{peak_mb / baseline.median('peak_mb'):.2f}")
        table.add_row(name, *cells)
    return table


def _describe(sound: str, model: str, runs: int) -> str:
    """Return one line on the task and one on the machine and its other load."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("faster-whisper", "ctranslate2", "dagster"))
    return (
        f"{sound}; {model} {COMPUTE_TYPE}, beam {BEAM}, batch {BATCH}, {THREADS} threads; runs: {runs}\n"
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {packages};"
        f" load average {os.getloadavg()[0]:.1f}"
    )


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=os.environ.get("BENCH_MODEL", "tiny.en"))
    parser.add_argument("--minutes", type=float, default=11, help="length of the sound")
    parser.add_argument("--runs", type=int, default=1, help="how often each program runs")
    parser.add_argument(
        "--whisperx",
        type=Path,
        default=Path(os.environ.get("BENCH_WHISPERX", ROOT / ".tools" / "whisperx" / "bin" / "whisperx")),
        help="the whisperx program",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
