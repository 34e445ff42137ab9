"""What became of each video: a line while the command works, a table and JSON at its end."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from rich.console import Console
from rich.text import Text

from yivideo_pipeline.cli.console import clock, one_line, print_table, sentences, show_path
from yivideo_pipeline.cli.logs import log_path
from yivideo_pipeline.defs.processed import Processed
from yivideo_pipeline.errors.tree import SystemFault, YivideoError
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.remote_paths import AnyPath

Status = Literal["done", "failed", "interrupted", "not_started"]

MODEL_STAGES = {stage.name for stage in STAGES.values() if stage.uses_model}
UNFORESEEN = SystemFault.kind
"""Kind of an error that no rule classifies; the messages of the others say all there is to know."""
_NONE = "–"
_NUMBERS = ("speech s", "× real time", "cues", "readability", "confidence")


@dataclass(frozen=True)
class VideoFailure:
    """Why a video has no subtitles; `kind` is the error's in `errors.tree`."""

    kind: str
    message: str
    hint: str
    stage: str | None = None

    @classmethod
    def of(cls, error: YivideoError) -> "VideoFailure":
        """Describe an error that no stage reported."""
        return cls(error.kind, error.message, error.hint, error.context.stage)


@dataclass(frozen=True)
class VideoOutcome:
    """What became of one video, or of a folder that could not be read."""

    path: AnyPath
    status: Status
    processed: Processed | None = None
    failure: VideoFailure | None = None

    @classmethod
    def of_run(cls, path: AnyPath, processed: Processed) -> "VideoOutcome":
        """Return the outcome of a run that ended by itself."""
        failed = processed.failure
        if failed is None:
            return cls(path, "done", processed)
        failure = VideoFailure(failed.kind, failed.message, failed.hint, failed.stage)
        return cls(path, "failed", processed, failure)

    @property
    def already_processed(self) -> bool:
        """Whether no model had to work: text and times were there from an earlier run."""
        return self.processed is not None and set(self.processed.reused) >= MODEL_STAGES

    @property
    def rtfx(self) -> float | None:
        """Seconds of audio per second of work, including loading; None where a model did nothing new."""
        run = self.processed
        if self.status != "done" or run is None or not run.audio_s or MODEL_STAGES & set(run.reused):
            return None
        return (run.audio_s - run.resumed_s) / run.wall_s

    def as_json(self) -> dict[str, Any]:
        """Return the same keys for every video; null where a value is not known."""
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
            "resumed_s": run and run.resumed_s,
            "cues": run and run.cues,
            "readability": run and run.readability,
            "confidence": run and run.confidence,
            "files": [str(file) for file in run.files] if run else [],
            "reused": list(run.reused) if run else [],
            "already_processed": self.already_processed,
            "empty_reason": run and run.empty_reason,
            "tracks": run and run.tracks,
            "warnings": list(run.warnings) if run else [],
            "error": self.failure and asdict(self.failure),
        }


def summarize(
    outcomes: Sequence[VideoOutcome], wall_s: float, error: VideoFailure | None = None
) -> dict[str, Any]:
    """Return the summary of a whole command as JSON; `error` is what kept it from starting."""
    counts = {status: sum(one.status == status for one in outcomes) for status in get_args(Status)}
    videos = [one.as_json() for one in outcomes]
    return {**counts, "wall_s": wall_s, "videos": videos, "error": error and asdict(error)}


def result_line(outcome: VideoOutcome) -> str:
    """Describe in one line what became of a video."""
    name, run = show_path(outcome.path), outcome.processed
    if outcome.failure:
        return f"{name}: {sentences(outcome.failure.message, outcome.failure.hint)}"
    if run is None:
        return f"{name}: {outcome.status.replace('_', ' ')}"
    if outcome.already_processed:
        return f"{name}: nothing to do, already processed"
    cues = plural(run.cues or 0, "cue")
    return f"{name}: {run.language}, {cues}, {run.audio_s or 0:.1f} s in {run.wall_s:.1f} s"


def print_report(console: Console, outcomes: Sequence[VideoOutcome]) -> None:
    """Print the table of finished videos, then warnings and failures."""
    rows = [_row(one, one.processed) for one in outcomes if one.status == "done" and one.processed]
    if rows:
        print_table(("file", "language", *_NUMBERS, "subtitles"), rows, numbers=_NUMBERS, console=console)
    for one in outcomes:
        for line in _notes(one):
            console.print(line)
    if any(one.failure and one.failure.kind == UNFORESEEN for one in outcomes) and (log := log_path()):
        console.print(f"More about the unforeseen errors is in {show_path(log)}")


def _row(outcome: VideoOutcome, run: Processed) -> list[str | list[str]]:
    return [
        outcome.path.name,
        run.language or _NONE,
        _number(run.speech_s, ".1f"),
        "done before" if outcome.already_processed else _number(outcome.rtfx, ".1f"),
        str(run.cues),
        _number(run.readability, ".0f"),
        _number(run.confidence, ".0%"),
        [show_path(file) for file in run.files],
    ]


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)


def _notes(outcome: VideoOutcome) -> Iterator[Text]:
    name, run = show_path(outcome.path), outcome.processed
    if outcome.failure:
        yield Text(f"failed: {result_line(outcome)}", style="red")
    if run and run.tracks:
        yield Text(f"{name}: {one_line(run.tracks)}")
    if run and run.resumed_s:
        yield Text(f"{name}: continued; {clock(run.resumed_s)} had been recognized before")
    if run and run.empty_reason:
        yield Text(f"no words: {name}: {one_line(run.empty_reason)}")
    for warning in run.warnings if run else ():
        yield Text(f"warning: {name}: {one_line(warning)}", style="yellow")
