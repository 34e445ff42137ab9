"""`yivideo compare`: what two settings, models or revisions make of the same recordings."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from yivideo_pipeline.cli.console import (
    Exit,
    WrongUsage,
    open_console,
    print_json,
    print_problem,
    print_table,
    sentences,
    show_path,
)
from yivideo_pipeline.comparison.corpus import Clip, find_clips
from yivideo_pipeline.comparison.figures import Comparison, compare
from yivideo_pipeline.comparison.page import MARK, Heading, render_page
from yivideo_pipeline.comparison.side import SideResult, run_side
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigValidationError, DiskError, ModelLoadError, YivideoError
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import override
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.show import diff_settings
from yivideo_pipeline.speech.engine import EngineInfo, short_revision
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.weights import WeightsStatus

COMPARED = ("speech.", "subtitles.", "cache.", "hub.")
"""The settings that decide what is made, and how fast."""
_OTHERWISE_SET = ("YIVIDEO_SPEECH__", "YIVIDEO_SUBTITLES__")


@dataclass(frozen=True)
class CompareRequest:
    """What the command line asks for; a side is a settings file, or a model with or without `@revision`."""

    sides: tuple[str, str]
    videos: Sequence[Path]
    corpus: Path | None
    output: Path
    config: Path | None
    as_json: bool


def compare_sides(request: CompareRequest) -> Exit:
    """Let both sides work on the recordings, one after the other; print the figures and write the page.

    Raises:
        YivideoError: Settings or recordings can't be read, or a side can't work at all.
    """
    if request.corpus is None and not request.videos:
        raise WrongUsage("No recordings are named", "Name videos, or a folder with --corpus")
    a, b = (read_side(name, request.config) for name in request.sides)
    changes = [change for change in diff_settings(a, b) if change.field.startswith(COMPARED)]
    if not changes:
        raise WrongUsage(f"{request.sides[0]} and {request.sides[1]} mean the same", "Name two that differ")
    _require_free(request.output)
    clips = find_clips(request.corpus, request.videos)
    console = open_console(stderr=request.as_json)
    for name, settings in zip(request.sides, (a, b), strict=True):
        weights = _require_works(name, settings)
        if weights.download_bytes:
            console.print(f"The weights of {name} are fetched first, {weights.reason}")
    with _progress(console, len(clips)) as progress:
        made = [
            _run(letter, name, settings, clips, progress)
            for letter, name, settings in zip("AB", request.sides, (a, b), strict=True)
        ]
    comparison = compare(clips, *made)
    rows = tuple((change.field, change.old, change.new) for change in changes)
    engines = (_describe(made[0].engine), _describe(made[1].engine))
    heading = Heading(request.sides, engines, rows)
    for one in comparison.left_out:
        print_problem(sentences(f"{show_path(one.path)} is left out, by {one.side}: {one.error.message}"))
    _print(console, comparison, heading, request)  # first: they took long, and a page may fail
    if not comparison.clips:
        return Exit.FAILED
    with _progress(console, len(comparison.clips)) as progress:
        progress.begin("page", len(comparison.clips))
        page = render_page(comparison, heading, a.speech.options, lambda at: progress.advance(at, "", 0.0))
    _write(request.output, page)
    console.print(f"Passages that differ, with their sound: {show_path(request.output)}")
    return Exit.FAILED if comparison.left_out else Exit.DONE


def read_side(name: str, config: Path | None) -> Settings:
    """Return the settings that a side means.

    Args:
        name: A settings file, which is read without what the environment says of speech and subtitles; or a
            model, with or without `@revision`, in place of that of the settings.
        config: The settings in which a model stands.

    Raises:
        ConfigError: The settings are wrong, or can't be read.
    """
    if name.lower().endswith((".yml", ".yaml")):
        if not Path(name).expanduser().is_file():
            raise WrongUsage(
                f"There is no settings file {name}", "Name a settings file, or a model such as base"
            )
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_OTHERWISE_SET)}
        return load_settings(Path(name), kept)
    settings = load_settings(config)
    model, _, revision = (name, "", "") if Path(name).is_dir() else name.partition("@")
    given = {"model_name": model, "model_revision": revision or None}
    options = override(settings.speech.options, given, name)
    return settings.model_copy(update={"speech": settings.speech.model_copy(update={"options": options})})


def _run(letter: str, name: str, settings: Settings, clips: Sequence[Clip], progress: "_Shown") -> SideResult:
    progress.begin(f"{letter} {name}", len(clips))
    try:
        return run_side(
            settings,
            [clip.path for clip in clips],
            lambda at, share: progress.advance(at, clips[at].path.name, share),
        )
    except YivideoError as error:
        raise type(error)(f"{letter}, {name}: {error.message}", error.hint) from error


def _require_works(name: str, settings: Settings) -> WeightsStatus:
    """Refuse before the work what the second side would meet only after the first has ended.

    Returns:
        Where the side's weights are.
    """
    speech, options = LocalSpeech(settings), settings.speech.options
    try:
        speech.check(options)
    except ConfigValidationError as error:
        raise ConfigValidationError(f"{name}: {error.message}", error.hint) from error
    status = speech.weights(options)
    if status.state == "missing":
        raise ModelLoadError(f"{name}: no weights for model {options.model_name}: {status.reason}")
    return status


def _require_free(output: Path) -> None:
    """Refuse before the work what could not be written after it."""
    if not output.parent.is_dir():
        raise DiskError(f"There is no folder {output.parent}", "Make it, or name another page with --output")
    try:
        is_ours = not output.exists() or MARK in output.read_text(encoding="utf-8", errors="replace")[:2000]
    except OSError as error:
        raise DiskError(f"{output} can't be read ({error.strerror})", "Name another with --output") from error
    if not is_ours:
        raise DiskError(f"{output} is no page of a comparison", "Name another with --output")


def _write(output: Path, page: str) -> None:
    part = output.with_name(f".{output.name}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(output)
    except OSError as error:
        raise classify(error) from error
    finally:
        part.unlink(missing_ok=True)


def _describe(engine: EngineInfo) -> str:
    return (
        f"{engine.model} ({short_revision(engine.revision)}), {engine.compute_type} on {engine.device},"
        f" batch {engine.batch_size}, {plural(engine.threads, 'thread')}"
    )


def _print(console: Console, comparison: Comparison, heading: Heading, request: CompareRequest) -> None:
    if request.as_json:
        print_json(_as_json(comparison, heading, request))
        return
    if not comparison.clips:
        return
    for letter, name, engine in zip("AB", heading.names, heading.engines, strict=True):
        console.print(f"{letter}: {name}, {engine}")
    print_table(
        ("figure", "A", "B", "B against A"),
        [(one.name, one.show(one.a), one.show(one.b), one.note) for one in comparison.figures],
        numbers=("A", "B"),
        console=console,
    )


def _as_json(comparison: Comparison, heading: Heading, request: CompareRequest) -> dict[str, Any]:
    return {
        "sides": [
            {"name": name, "engine": engine}
            for name, engine in zip(heading.names, heading.engines, strict=True)
        ],
        "settings": [{"name": name, "a": a, "b": b} for name, a, b in heading.settings],
        "figures": [
            {"name": one.name, "a": one.a, "b": one.b, "note": one.note} for one in comparison.figures
        ],
        "recordings": [
            {
                "path": str(one.clip.path),
                "language": one.language,
                "passages": [
                    {
                        "start_s": passage.start_s,
                        "end_s": passage.end_s,
                        "a": "".join(shown.word.text for shown in passage.a).strip(),
                        "b": "".join(shown.word.text for shown in passage.b).strip(),
                        "reference": passage.reference,
                        "shift_s": round(passage.shift_s, 3),
                    }
                    for passage in one.passages
                ],
            }
            for one in comparison.clips
        ],
        "left_out": [
            {"path": str(one.path), "side": one.side, "kind": one.error.kind, "message": one.error.message}
            for one in comparison.left_out
        ],
        "page": str(request.output) if comparison.clips else None,
    }


class _Shown(Protocol):
    def begin(self, name: str, recordings: int) -> None: ...

    def advance(self, recording: int, name: str, share: float) -> None: ...


class _ProgressLines:
    """Says what begins, where nobody watches a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, name: str, recordings: int) -> None:
        self._console.print(f"{name}: {plural(recordings, 'recording')}")

    def advance(self, recording: int, name: str, share: float) -> None:
        """Say nothing."""


class _ProgressBar:
    """A bar for what is under way."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=1.0, note="")

    def begin(self, name: str, recordings: int) -> None:
        self._progress.update(
            self._task, description=name, completed=0, total=max(1, recordings), note="loading"
        )

    def advance(self, recording: int, name: str, share: float) -> None:
        self._progress.update(self._task, completed=recording + share, note=name)


@contextmanager
def _progress(console: Console, recordings: int) -> Generator[_Shown]:
    if not console.is_terminal:
        yield _ProgressLines(console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _ProgressBar(progress)
