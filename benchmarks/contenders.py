"""The programs that benchmarks run, all with the same weights, precision, beam, batch and threads."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

COMPUTE_TYPE, BEAM, BATCH, THREADS = "int8", 5, 8, 2
SCRUBBED = ("YIVIDEO_", "HF_", "WHISPERX_", "TRANSFORMERS_", "DAGSTER_", "PYTHONDONTWRITEBYTECODE")
WHISPERX = "whisperx --no_align"
LIMIT = "limit: CTranslate2 alone, best batch"


@dataclass(frozen=True)
class Task:
    """The input of every contender: sound, model, folder of all models; device, precision, batch, language.

    A `language` of None: each sound's own.
    """

    audio: Path
    model_name: str
    weights: Path
    model_dir: Path
    device: str = "cpu"
    compute_type: str = COMPUTE_TYPE
    batch: int = BATCH
    language: str | None = "en"


@dataclass(frozen=True)
class Contender:
    """One run of a program, named as its row; `output` is the path of its transcript, if it makes one."""

    name: str
    command: list[str | Path]
    output: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment without any settings of the user, plus the contender's own."""
        return environment_of(self.settings)


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any settings of the user, plus these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(SCRUBBED)}
    return {**clean, "HF_HUB_OFFLINE": "1", **settings}


def settings_of(task: Task, home: Path) -> dict[str, str]:
    """Return the settings, as variables, that make `yivideo` work like the other contenders."""
    return {
        "YIVIDEO_HOME": str(home),
        "YIVIDEO_CACHE__MODEL_DIR": str(task.model_dir),
        "YIVIDEO_HUB__OFFLINE": "true",
        "YIVIDEO_SPEECH__MODEL_NAME": task.model_name,
        "YIVIDEO_SPEECH__LANGUAGE": task.language or "auto",
        "YIVIDEO_SPEECH__DEVICE": task.device,
        "YIVIDEO_SPEECH__COMPUTE_TYPE": task.compute_type,
        "YIVIDEO_SPEECH__BEAM_SIZE": str(BEAM),
        "YIVIDEO_SPEECH__BATCH_SIZE": str(task.batch),
        "YIVIDEO_SPEECH__FASTER_WHISPER_THREADS": str(THREADS),
    }


def line_up(task: Task, folder: Path, whisperx_program: Path) -> list[Contender]:
    """Return all contenders of one run, in order; each starts from scratch in a new `folder`.

    The whisperx program is left out where it is not installed.
    """
    installed = (
        [whisperx(task, [task.audio], folder / "whisperx", whisperx_program)]
        if whisperx_program.is_file()
        else []
    )
    return [
        *yivideo(task, folder),
        *installed,
        faster_whisper(task, folder, batched=False),
        faster_whisper(task, folder, batched=True),
        limit(task, folder),
    ]


def yivideo(task: Task, folder: Path) -> list[Contender]:
    """Return the whole command, the same again with nothing to do, and its start alone."""
    first = process(task, [task.audio], folder, "yivideo process, words timed")
    again = replace(first, name="yivideo process, once more", output=None)
    return [first, again, Contender("yivideo --help", [first.command[0], "--help"])]


def process(task: Task, sounds: Sequence[Path], folder: Path, name: str) -> Contender:
    """Return the whole command on files, under this name."""
    output = folder / "yivideo"
    command = [Path(sys.executable).with_name("yivideo"), "process", *sounds, "--output-dir", output]
    return Contender(name, [*command, "--format", "srt,json"], output, settings_of(task, folder / "home"))


def whisperx(task: Task, sounds: Sequence[Path], output: Path, program: Path) -> Contender:
    """Return the whisperx program on files, without alignment, whose weights need a network.

    The VAD is pyannote's, since its weights are in WhisperX's package. `ffmpeg`, which the program
    starts, is looked for beside it first: `make bench-setup` puts one there.
    """
    sizes = ["--beam_size", str(BEAM), "--batch_size", str(task.batch), "--threads", str(THREADS)]
    speech = [*_language(task), "--device", task.device, "--compute_type", task.compute_type, *sizes]
    kind = ["--no_align", "--vad_method", "pyannote", "--output_format", "json", "--output_dir", output]
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    command = [program, *sounds, "--model", task.weights, *speech, *kind]
    return Contender(WHISPERX, command, output, {"PATH": path})


def faster_whisper(
    task: Task, folder: Path, *, batched: bool, sounds: Sequence[Path] = (), words: bool = False
) -> Contender:
    """Return faster-whisper: one window after the other, or batched with its own word times.

    Args:
        task: The model, and the sound where no others are named.
        folder: Gets the transcripts' folder.
        batched: Whether windows are decoded in batches.
        sounds: The files.
        words: Whether words are timed though windows are decoded one after the other.
    """
    name = "faster-whisper batched, words timed" if batched else "faster-whisper sequential"
    kind = [*(["--batch", str(task.batch)] if batched else []), *(["--words"] if batched or words else [])]
    output = folder / ("batched" if batched else "sequential")
    device = ["--device", task.device, "--compute-type", task.compute_type]
    speech = [*_language(task), *device, "--threads", str(THREADS), "--beam", str(BEAM), *kind]
    script = [sys.executable, "-m", "benchmarks.transcribe", *(sounds or [task.audio]), "--output", output]
    return Contender(name, [*script, "--model", task.weights, *speech], output)


def _language(task: Task) -> list[str]:
    return ["--language", task.language] if task.language else []


def limit(task: Task, folder: Path) -> Contender:
    """Return CTranslate2's encoder, beam search and word times alone; its output holds their own seconds."""
    output = folder / "limit"
    sizes = ["--threads", str(THREADS), "--beam", str(BEAM)]
    device = ["--device", task.device, "--compute-type", task.compute_type]
    speech = ["--model", task.weights, *device, *sizes]
    command = [sys.executable, "-m", "benchmarks.limit", task.audio, "--output", output, *speech]
    return Contender(LIMIT, command, output)
