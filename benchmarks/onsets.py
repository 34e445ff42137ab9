"""Measures where words that follow a pause start, against the sound itself: needs no reference times.

A pause ends where two detectors find a sound again: the energy, and Silero's voice activity. Pauses for which
they differ by more than `AGREE_S` are left out, since there the sound does not say when the word begins.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.clips import load_corpus, read_sound
from benchmarks.score import transcribe
from yivideo_pipeline.media.audio import write_wav
from yivideo_pipeline.speech.align.boundaries import levels_db
from yivideo_pipeline.speech.vad import HOP_S, speech_probabilities

STEP_S = 0.01
PAUSE_S = 0.25
AGREE_S = 0.08
REACH_S = 0.5  # no word starts nearer to the onset: the recognizer left it out
ABOVE_FLOOR_DB = 10.0
NEAR_S = 0.1


def main() -> None:
    """Transcribe a corpus, compare the starts of words behind pauses, print one row a language."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, nargs="*", help="folders with manifest.json")
    parser.add_argument("--model", default="base")
    given = parser.parse_args()
    named = os.environ.get("YIVIDEO_SPEECH_CORPUS", "").split(os.pathsep)
    folders = given.corpus or [Path(folder) for folder in named if folder]
    if not folders:
        sys.exit("Name a folder with a manifest.json, or set YIVIDEO_SPEECH_CORPUS")
    clips = [clip for folder in folders for clip in load_corpus(folder.resolve())]
    errors: defaultdict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="yivideo-onsets-") as temporary:
        folder = Path(temporary)
        transcribe(clips, folder, given.model)
        for clip in clips:
            document = json.loads(next(folder.glob(f"{clip.path.stem}.*json")).read_text(encoding="utf-8"))
            starts = [word["start"] for segment in document["segments"] for word in segment["words"]]
            errors[clip.language] += distances(starts, find_onsets(clip.path, folder))
    Console(width=None if os.isatty(1) else 100, highlight=False).print(render(errors))


def find_onsets(path: Path, folder: Path) -> list[float]:
    """Return when sound begins again behind each pause on which both detectors agree, in seconds."""
    audio = write_wav(folder / f"{path.stem}.wav", read_sound(path))
    levels = levels_db(audio.slice(0, audio.duration_s))
    times = np.arange(len(levels)) * STEP_S + 0.0125
    probabilities = speech_probabilities(audio)
    voice = np.interp(times, (np.arange(len(probabilities)) + 0.5) * HOP_S, probabilities)
    loud = levels > max(np.quantile(levels, 0.05) + ABOVE_FLOOR_DB, np.quantile(levels, 0.95) - 30)
    by_voice = np.array(_run_ends(times, voice < 0.5))
    if not len(by_voice):
        return []
    return [onset for onset in _run_ends(times, ~loud) if np.abs(by_voice - onset).min() <= AGREE_S]


def _run_ends(times: np.ndarray, still: np.ndarray) -> list[float]:
    """Return the ends of still runs of at least `PAUSE_S` that sound follows."""
    edges = np.diff(np.concatenate([[0], still.astype(np.int8), [0]]))
    runs = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    return [float(times[end]) for start, end in runs if end - start >= PAUSE_S / STEP_S and end < len(times)]


def distances(starts: list[float], onsets: list[float]) -> list[float]:
    """Return how much later than each onset the nearest word starts, where one is within reach."""
    found = [min((start - onset for start in starts), key=abs, default=REACH_S) for onset in onsets]
    return [distance for distance in found if abs(distance) < REACH_S]


def render(errors: dict[str, list[float]]) -> Table:
    """Return the table: how many onsets, the median distance, and the share within `NEAR_S`."""
    table = Table("language", "onsets", "median s", f"within {NEAR_S} s %")
    for language, found in errors.items():
        if found:
            near = sum(abs(distance) <= NEAR_S for distance in found) / len(found)
            table.add_row(language, str(len(found)), f"{statistics.median(found):+.3f}", f"{100 * near:.0f}")
    return table


if __name__ == "__main__":
    main()
