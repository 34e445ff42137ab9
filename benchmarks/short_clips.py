"""Many short clips by one command, against the same speech in one file and whisperx: a table of `make bench`.

`python -m benchmarks.short_clips` prints it alone. The clips are cut without regard to words, so there is no
word error rate.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.clips import RATE_HZ, cut_clips, load_english, write_flac
from benchmarks.contenders import WHISPERX, Task, process, whisperx
from benchmarks.process import measure
from benchmarks.services import load_line
from yivideo_pipeline.speech.weights import find_weights

COUNT = 40
SHORTEST_S, LONGEST_S = 5, 10
ROOT = Path(__file__).resolve().parents[1]


def measure_short_clips(task: Task, folder: Path, whisperx_program: Path) -> Table:
    """Make subtitles for the clips by each program, from start to end; return the table.

    Args:
        task: The model; its sound is not used.
        folder: An empty folder to work in.
        whisperx_program: Left out where it is not installed.

    Raises:
        RuntimeError: a program failed.
    """
    sounds = cut_clips(load_english()[1], np.linspace(SHORTEST_S, LONGEST_S, COUNT))
    clips = [folder / "clips" / f"clip{number:02}.flac" for number in range(COUNT)]
    one = folder / "one.flac"
    clips[0].parent.mkdir(parents=True)
    for path, sound in zip(clips, sounds, strict=True):
        write_flac(sound, path)
    write_flac(np.concatenate(sounds), one)
    line_up = [
        process(task, [one], folder / "a", "yivideo process, the same speech in one file"),
        process(task, clips, folder / "b", f"yivideo process, {COUNT} clips"),
        replace(process(task, clips, folder / "b", ""), name="yivideo process, once more"),
    ]
    if whisperx_program.is_file():
        line_up.append(whisperx(task, clips, folder / "c", whisperx_program))
    runs = {one.name: measure(one.command, one.environment, folder / "log") for one in line_up}
    if any(run.exit_code for run in runs.values()):
        raise RuntimeError((folder / "log").read_text(errors="replace"))
    speech_s = sum(map(len, sounds)) / RATE_HZ
    title = f"{COUNT} clips of {SHORTEST_S} to {LONGEST_S} s, {speech_s:.0f} s in all"
    table = Table(title, *("wall s", "CPU s", "peak MB", "wall / one file", "wall / whisperx"))
    first_s = runs[line_up[0].name].wall_s
    for name, run in runs.items():
        against = f"{run.wall_s / runs[WHISPERX].wall_s:.2f}" if WHISPERX in runs else "-"
        figures = (f"{run.wall_s:.2f}", f"{run.cpu_s:.2f}", f"{run.peak_mb:.0f}")
        table.add_row(name, *figures, f"{run.wall_s / first_s:.2f}", against)
    return table


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--whisperx", type=Path, default=ROOT / ".tools" / "whisperx" / "bin" / "whisperx")
    given = parser.parse_args()
    model_dir = ROOT / "data" / "models"
    weights = find_weights(given.model, model_dir).folder
    with tempfile.TemporaryDirectory(prefix="yivideo-bench-") as temporary:
        task = Task(Path(temporary) / "unused", given.model, weights, model_dir)
        table = measure_short_clips(task, Path(temporary), given.whisperx)
    console = Console(width=140, highlight=False)
    console.print(table)
    console.print(load_line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
