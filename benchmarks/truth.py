"""Compares what yivideo, faster-whisper and the whisperx program lose and invent in hard sounds.

Each program transcribes all sounds of `truth_sounds` in one process, with the same weights, precision and
beam. Words are compared in order; a lost word counts with its own length, an invented one with the length
that the program gives it. Where a program times no words, a segment's words share its time by their letters.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import jiwer
from rich.console import Console
from rich.table import Table

from benchmarks.clips import RATE_HZ, write_flac
from benchmarks.contenders import BEAM, COMPUTE_TYPE, Contender, Task, faster_whisper, process, whisperx
from benchmarks.process import measure
from benchmarks.truth_sounds import Phrase, Scene, build_scenes
from benchmarks.words import count_errors_by_clip
from yivideo_pipeline.comparison.accuracy import (
    NORMALIZER,
    RateDifference,
    bootstrap_difference,
    normalize_mixed,
)
from yivideo_pipeline.comparison.corpus import TimedWord
from yivideo_pipeline.speech.weights import find_weights

ROOT = Path(__file__).resolve().parents[1]
OURS = "yivideo"
FILLERS = frozenset({"um", "uh", "hm", "hmm", "mm"})
"""Neither lost nor invented: subtitles may leave them out."""
LEAST_LOST_S = 1.0
"""Two or three words of a row, which may be chance."""


@dataclass
class Score:
    """What one program made of one row's sounds.

    `errors` are wrong words and words of each phrase, `worst_s` is the largest distance of a right word's
    start from its reference, `words` and `sound_s` are counted in all.
    """

    errors: list[tuple[int, int]] = field(default_factory=list)
    lost_s: float = 0.0
    invented_s: float = 0.0
    worst_s: float | None = None
    words: int = 0

    @property
    def error_rate(self) -> float | None:
        """Word error rate, of characters in Chinese; None where nobody speaks."""
        words = sum(count for _, count in self.errors)
        return sum(count for count, _ in self.errors) / words if words else None


def main() -> int:
    """Make the sounds, have every program read them, print the table; returns 1 if a program failed."""
    given = _read_arguments()
    scenes = [
        scene
        for scene in build_scenes(multilingual=not given.model.endswith(".en"), every=given.every)
        if not given.rows or any(word in scene.row for word in given.rows)
    ]
    model_dir = ROOT / "data" / "models"
    weights = find_weights(given.model, model_dir).folder
    with tempfile.TemporaryDirectory(prefix="yivideo-truth-") as temporary:
        folder = given.keep or Path(temporary)
        task = Task(folder / "unused", given.model, weights, model_dir)
        found = compare(scenes, task, folder, given.whisperx)
    console = Console(width=None if os.isatty(1) else 140, highlight=False)
    sound_s = sum(len(scene.render()) for scene in scenes) / RATE_HZ
    console.print(
        f"{sound_s:.0f} s of sound, model {given.model}, {COMPUTE_TYPE}, beam {BEAM}; WER after: {NORMALIZER}"
    )
    console.print(render(found))
    for line in judge(found):
        console.print(line, markup=False)
    return 0


def compare(
    scenes: Sequence[Scene], task: Task, folder: Path, whisperx_program: Path
) -> dict[str, dict[str, Score]]:
    """Have every program transcribe the scenes; return a score for each row and program.

    Raises:
        RuntimeError: a program failed.
    """
    scores: defaultdict[str, dict[str, Score]] = defaultdict(dict)
    by_language: defaultdict[str | None, list[Scene]] = defaultdict(list)
    for scene in scenes:
        by_language[scene.language].append(scene)
        (folder / "sounds").mkdir(parents=True, exist_ok=True)
        write_flac(scene.render(), folder / "sounds" / f"{scene.name}.flac")
    for language, some in by_language.items():
        paths = [folder / "sounds" / f"{scene.name}.flac" for scene in some]
        place = folder / (language or "open")
        for contender in line_up(replace(task, language=language), paths, place, whisperx_program):
            usage = measure(contender.command, contender.environment, folder / "log")
            if usage.exit_code:
                raise RuntimeError((folder / "log").read_text(errors="replace"))
            for scene in some:
                score = scores[scene.row].setdefault(contender.name, Score())
                add_scene(score, scene, read_words(contender.output, scene.name))
    return scores


def line_up(task: Task, paths: list[Path], folder: Path, whisperx_program: Path) -> list[Contender]:
    """Return the programs; whisperx is left out where it is not installed."""
    ours = process(task, paths, folder, OURS)
    batched = faster_whisper(task, folder, batched=True, sounds=paths)
    sequential = faster_whisper(task, folder, batched=False, sounds=paths, words=True)
    line = [ours, replace(batched, name="faster-whisper batched"), sequential]
    if whisperx_program.is_file():
        line.append(replace(whisperx(task, paths, folder / "whisperx", whisperx_program), name="whisperx"))
    return line


def read_words(output: Path | None, name: str) -> list[tuple[TimedWord, bool]]:
    """Return the words that a program wrote, normalized, and whether it timed them itself.

    yivideo writes no file where nobody speaks.
    """
    files = sorted(output.glob(f"{name}.*json")) if output else []
    if not files:
        return []
    document = json.loads(files[0].read_text(encoding="utf-8"))
    words: list[tuple[TimedWord, bool]] = []
    for segment in document["segments"]:
        timed = segment.get("words") or []
        whole = [{"word": segment["text"], "start": segment["start"], "end": segment["end"]}]
        for word in timed or whole:
            parts = _spread(TimedWord(word["word"], word["start"], word["end"]))
            words += [(part, bool(timed)) for part in parts]
    return words


def _spread(word: TimedWord) -> Iterator[TimedWord]:
    """Yield what a text is normalized to, each part with its share of the time by its letters."""
    parts = _spoken(word.text)
    letters = sum(map(len, parts))
    at = word.start_s
    for part in parts:
        length = (word.end_s - word.start_s) * len(part) / letters
        yield TimedWord(part, at, at + length)
        at += length


def _spoken(text: str) -> list[str]:
    return [word for word in normalize_mixed(text).split() if word not in FILLERS]


def add_scene(score: Score, scene: Scene, words: list[tuple[TimedWord, bool]]) -> None:
    """Add one sound's words to a score."""
    score.words += len(words)
    reference = [(part, phrase.timed) for phrase in scene.phrases for part in _parts(phrase)]
    if not reference:
        score.invented_s += sum(word.end_s - word.start_s for word, _ in words)
        return
    texts = [" ".join(_spoken(phrase.text)) for phrase in scene.phrases]
    heard = " ".join(word.text for word, _ in words)
    score.errors += count_errors_by_clip(texts, heard)
    for step in jiwer.process_words(" ".join(part.text for part, _ in reference), heard).alignments[0]:
        ours = words[step.hyp_start_idx : step.hyp_end_idx]
        theirs = reference[step.ref_start_idx : step.ref_end_idx]
        if step.type == "delete":
            score.lost_s += sum(word.end_s - word.start_s for word, _ in theirs)
        elif step.type == "insert":
            score.invented_s += sum(word.end_s - word.start_s for word, _ in ours)
        elif step.type == "equal":
            pairs = zip(ours, theirs, strict=True)
            shifts = [abs(a.start_s - b.start_s) for (a, timed), (b, known) in pairs if timed and known]
            score.worst_s = max(
                [*shifts, *([score.worst_s] if score.worst_s is not None else [])], default=None
            )


def _parts(phrase: Phrase) -> list[TimedWord]:
    return [part for word in phrase.words for part in _spread(word)]


def render(found: dict[str, dict[str, Score]]) -> Table:
    """Return the table: a line for each row and program."""
    table = Table("sound", "program")
    for heading in ("WER %", "yivideo minus it", "lost s", "invented s", "worst shift s", "words"):
        table.add_column(heading, justify="right")
    for row, scores in found.items():
        for number, (name, score) in enumerate(scores.items()):
            rate = "" if score.error_rate is None else f"{100 * score.error_rate:.1f}"
            worst = "" if score.worst_s is None else f"{score.worst_s:.2f}"
            difference = "" if name == OURS or not score.errors else str(_difference(scores[OURS], score))
            figures = (f"{score.lost_s:.1f}", f"{score.invented_s:.1f}", worst, str(score.words))
            table.add_row("" if number else row, name, rate, difference, *figures)
        table.add_section()
    return table


def _difference(ours: Score, theirs: Score) -> RateDifference:
    return bootstrap_difference(ours.errors, theirs.errors)


def judge(found: dict[str, dict[str, Score]]) -> Iterator[str]:
    """Yield a line for each row in which yivideo misses its aims."""
    for row, scores in found.items():
        ours = scores[OURS]
        for name, score in scores.items():
            if name != OURS and score.errors and _difference(ours, score).low > 0:
                yield f"{row}: more words are wrong than with {name}: {_difference(ours, score)}"
        batched = scores["faster-whisper batched"]
        if ours.errors and ours.lost_s > max(batched.lost_s / 2, LEAST_LOST_S):
            yield f"{row}: {ours.lost_s:.1f} s are lost, faster-whisper batched loses {batched.lost_s:.1f} s"
        if not ours.errors and ours.words:
            yield f"{row}: {ours.words} words were invented"


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="base")
    parser.add_argument("--every", type=int, default=1, help="3: only each third clip of the corpus")
    parser.add_argument("--rows", nargs="*", help="only rows with one of these words in their names")
    parser.add_argument("--keep", type=Path, help="folder for the sounds and transcripts")
    parser.add_argument("--whisperx", type=Path, default=ROOT / ".tools" / "whisperx" / "bin" / "whisperx")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
