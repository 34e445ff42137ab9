"""What is said at the end: a table of what was made, and a line for each thing worth knowing."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from yivideo_pipeline.cli.console import log_path, one_line, printable, sentences, show_path
from yivideo_pipeline.errors.tree import SystemFault, YivideoError
from yivideo_pipeline.stages import STAGES

if TYPE_CHECKING:
    from yivideo_pipeline.defs.runner import Processed

# PART cli/outcome.py: What came of each video, as the command's summary.

Status = Literal["done", "failed", "interrupted", "not_started"]

MODEL_STAGES = {stage.name for stage in STAGES.values() if stage.uses_model}


@dataclass(frozen=True)
class Failure:
    """Why a video has no subtitles; `kind` is the error's in `errors.tree`."""

    kind: str
    message: str
    hint: str
    stage: str | None = None

    @classmethod
    def of(cls, error: YivideoError) -> "Failure":
        """Describe an error that no stage reported."""
        return cls(error.kind, error.message, error.hint, error.context.stage)


@dataclass(frozen=True)
class Outcome:
    """What came of one video, or of a folder that could not be looked into."""

    path: Path
    status: Status
    processed: "Processed | None" = None
    failure: Failure | None = None

    @classmethod
    def of_run(cls, path: Path, processed: "Processed") -> "Outcome":
        """Take over what the pipeline reports."""
        failed = processed.failure
        if failed is None:
            return cls(path, "done", processed)
        return cls(path, "failed", processed, Failure(failed.kind, failed.message, failed.hint, failed.stage))

    @property
    def already_processed(self) -> bool:
        """Whether no model had to work: text and times were there from a run before."""
        return self.processed is not None and set(self.processed.reused) >= MODEL_STAGES

    @property
    def rtfx(self) -> float | None:
        """Seconds of sound a second of work, loading among it; None where a model did nothing new."""
        run = self.processed
        if self.status != "done" or run is None or not run.audio_s or MODEL_STAGES & set(run.reused):
            return None
        return run.audio_s / run.wall_s

    def as_json(self) -> dict[str, Any]:
        """Return the same names for every video; null where there is nothing to say."""
        run = self.processed
        return {
            "path": str(self.path),
            "status": self.status,
            "partition_key": run and run.partition_key,
            "run_id": run and run.run_id,
            "language": run and run.language,
            "audio_s": run and run.audio_s,
            "speech_s": run and run.speech_s,
            "wall_s": run and run.wall_s,
            "rtfx": self.rtfx,
            "cues": run and run.cues,
            "quality": run and run.score,
            "files": [str(file) for file in run.files] if run else [],
            "reused": list(run.reused) if run else [],
            "already_processed": self.already_processed,
            "empty_reason": run and run.empty_reason,
            "warnings": list(run.warnings) if run else [],
            "error": self.failure and asdict(self.failure),
        }


def summarize(outcomes: Sequence[Outcome], wall_s: float, error: Failure | None = None) -> dict[str, Any]:
    """Return the summary of a whole command as JSON; `error` is what kept it from beginning."""
    counts = {status: sum(one.status == status for one in outcomes) for status in get_args(Status)}
    videos = [one.as_json() for one in outcomes]
    return {**counts, "wall_s": wall_s, "videos": videos, "error": error and asdict(error)}


UNFORESEEN = SystemFault.kind
"""Kind of an error that no rule knew; those that are known say all there is to say."""
_NONE = "–"


def print_report(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print the table, then warnings and failures."""
    if any(one.status == "done" for one in outcomes):
        console.print(_table([one for one in outcomes if one.status == "done"]))
    for one in outcomes:
        for line in _lines(one):
            console.print(line)
    if any(one.failure and one.failure.kind == UNFORESEEN for one in outcomes) and (log := log_path()):
        console.print(f"More about what was not foreseen is in {show_path(log)}")


def result_line(outcome: Outcome) -> str:
    """Say in one line what came of a video."""
    name, run = show_path(outcome.path), outcome.processed
    if outcome.failure:
        return f"{name}: {sentences(outcome.failure.message, outcome.failure.hint)}"
    if run is None:
        return f"{name}: {outcome.status.replace('_', ' ')}"
    if outcome.already_processed:
        return f"{name}: nothing to do, already processed"
    return f"{name}: {run.language}, {run.cues} cues, {run.audio_s or 0:.1f} s in {run.wall_s:.1f} s"


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("language")
    for heading in ("speech s", "× real time", "cues", "quality"):
        table.add_column(heading, justify="right")
    table.add_column("subtitles", overflow="fold")
    for one in outcomes:
        run = one.processed
        if run is None:
            continue
        table.add_row(
            Text(printable(one.path.name)),
            run.language or _NONE,
            _number(run.speech_s, ".1f"),
            "done before" if one.already_processed else _number(one.rtfx, ".1f"),
            str(run.cues),
            _number(run.score, ".2f"),
            Text("\n".join(show_path(file) for file in run.files)),
        )
    return table


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)


def _lines(outcome: Outcome) -> Iterator[Text]:
    name, run = show_path(outcome.path), outcome.processed
    if outcome.failure:
        yield Text(f"failed: {result_line(outcome)}", style="red")
    if run and run.empty_reason:
        yield Text(f"no words: {name}: {one_line(run.empty_reason)}")
    for warning in run.warnings if run else ():
        yield Text(f"warning: {name}: {one_line(warning)}", style="yellow")
