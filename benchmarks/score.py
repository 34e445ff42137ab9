"""Scores `yivideo process` on the speech corpus: word error rates and the accuracy of word times.

With `--noise 10` each clip whose words have times is read clean and in three noises 10 dB below its speech.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import jiwer
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.clips import read_sound, write_flac
from yivideo_pipeline.comparison.accuracy import (
    CJK,
    NORMALIZER,
    RateDifference,
    TimeErrors,
    bootstrap_difference,
    compare_times,
    count_errors,
    normalize,
)
from yivideo_pipeline.comparison.corpus import Clip, TimedWord, load_corpus

NEAR_S = 0.1
BABBLE = 6
"""Other clips that speak at once."""
MUSIC = "no-speech.mp4"  # in the corpus
CLEAN, WHITE, BABBLING, MUSICAL = "clean", "white noise", "babble", "music"


@dataclass
class Tally:
    """The reference and recognized texts of a language or a noise, and its word times."""

    references: list[str] = field(default_factory=list)
    recognized: list[str] = field(default_factory=list)
    times: TimeErrors = field(default_factory=TimeErrors)


def main() -> None:
    """Transcribe the corpus in one command, compare, print one row a language or a noise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="base")
    parser.add_argument("--against", type=Path, help="folder of another system's JSON files")
    parser.add_argument("--keep", type=Path, help="folder for this run's JSON files")
    parser.add_argument("--noise", type=float, metavar="DB", help="put noises so much below the speech")
    given = parser.parse_args()
    model = given.model
    corpus = os.environ.get("YIVIDEO_SPEECH_CORPUS")
    if not corpus:
        sys.exit("YIVIDEO_SPEECH_CORPUS names no folder with the speech corpus; set it")
    folders = [Path(folder).resolve() for folder in corpus.split(os.pathsep)]
    clips = [clip for folder in folders for clip in load_corpus(folder)]
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    with tempfile.TemporaryDirectory(prefix="yivideo-score-") as temporary:
        folder = given.keep or Path(temporary)
        rows = [(clip.language, clip) for clip in clips]
        if given.noise is not None:
            rows = list(put_into_noise(clips, folders[0] / MUSIC, given.noise, Path(temporary)))
            clips = [clip for _, clip in rows]
        transcribe(clips, folder, model)
        for row, clip in rows:
            add_clip(tallies[row], clip, folder)
        difference = compare(clips, folder, given.against) if given.against else None
    console = Console(width=None if os.isatty(1) else 120, highlight=False)
    console.print(f"{len(clips)} clips, model {model}; error rates after: {NORMALIZER}.")
    console.print(render(tallies))
    if difference:
        console.print(f"error rate, minus that of {given.against}: {difference}", markup=False)


def put_into_noise(
    clips: Sequence[Clip], music: Path, below_db: float, folder: Path
) -> Iterator[tuple[str, Clip]]:
    """Yield the noise's name and the recording in it: of each clip that has times, clean and in each noise.

    Args:
        clips: The clips; those that talk at once are others than the one that is heard.
        music: A sound without words.
        below_db: How much softer than its speech a clip's noise is.
        folder: Gets the recordings.
    """
    timed = [clip for clip in clips if clip.words]
    sounds = [read_sound(clip.path).astype(float) for clip in timed]
    played = read_sound(music).astype(float)
    for number, (clip, sound) in enumerate(zip(timed, sounds, strict=True)):
        others = [sounds[(number + step) % len(sounds)] for step in range(1, BABBLE + 1)]
        noises = {
            CLEAN: np.zeros(len(sound)),
            WHITE: np.random.default_rng(number).normal(size=len(sound)),
            BABBLING: np.sum([np.resize(other, len(sound)) for other in others], axis=0),
            MUSICAL: np.resize(played, len(sound)),
        }
        for name, noise in noises.items():
            level = np.std(sound) * 10 ** (-below_db / 20) / max(1e-9, np.std(noise))
            path = folder / f"{name.replace(' ', '-')}-{clip.path.stem}.flac"
            write_flac(np.clip(np.round(sound + level * noise), -32768, 32767).astype(np.int16), path)
            yield name, replace(clip, path=path)


def transcribe(clips: list[Clip], folder: Path, model: str) -> None:
    """Run the command on all clips, with the language of each detected."""
    program = Path(sys.executable).with_name("yivideo")
    kind = ["--output-dir", folder, "--format", "json", "--model", model]
    subprocess.run([program, "process", *kind, "--", *(clip.path for clip in clips)], check=True)


def add_clip(tally: Tally, clip: Clip, folder: Path) -> None:
    """Add the text recognized in one clip to its language's tally."""
    found = next(folder.glob(f"{clip.path.stem}.*json"))
    segments = json.loads(found.read_text(encoding="utf-8"))["segments"]
    tally.references.append(normalize(clip.text, clip.language))
    tally.recognized.append(normalize(" ".join(segment["text"] for segment in segments), clip.language))
    words = [
        TimedWord(word["word"], word["start"], word["end"])
        for segment in segments
        for word in segment["words"]
    ]
    tally.times += compare_times(clip.words, words)


def compare(clips: list[Clip], ours: Path, theirs: Path) -> RateDifference:
    """Compare two systems' error rates over all clips, of all languages."""

    def count(folder: Path) -> list[tuple[int, int]]:
        return [count_errors(clip.text, read_text(clip, folder), clip.language) for clip in clips]

    return bootstrap_difference(count(ours), count(theirs))


def read_text(clip: Clip, folder: Path) -> str:
    """Return the text recognized in one clip."""
    found = next(folder.glob(f"{clip.path.stem}.*json"))
    return " ".join(segment["text"] for segment in json.loads(found.read_text(encoding="utf-8"))["segments"])


def render(tallies: dict[str, Tally]) -> Table:
    """Return the table of error rates, and shares and medians of the distances from the reference times."""
    table = Table("sound", "error rate %", "words matched", f"starts within {NEAR_S} s %", "median s")
    table.add_column(f"ends within {NEAR_S} s %")
    table.add_column("median s")
    for row, tally in tallies.items():
        unit = "CER" if row in CJK else "WER"
        rate = f"{unit} {100 * jiwer.wer(tally.references, tally.recognized):.1f}"
        starts, ends = tally.times.starts_s, tally.times.ends_s
        table.add_row(row, rate, str(len(starts)), *_exactness(starts), *_exactness(ends))
    return table


def _exactness(distances_s: tuple[float, ...]) -> list[str]:
    """Return the share within reach and the median; empty if the corpus has no times for it."""
    if not distances_s:
        return ["", ""]
    near = sum(distance <= NEAR_S for distance in distances_s) / len(distances_s)
    return [f"{100 * near:.1f}", f"{statistics.median(distances_s):.3f}"]


if __name__ == "__main__":
    main()
