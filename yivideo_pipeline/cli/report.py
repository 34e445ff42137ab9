"""What is said at the end: a table of what was made, and a line for each thing worth knowing."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from yivideo_pipeline.cli.console import one_line, printable, sentences, show_path
from yivideo_pipeline.cli.logs import log_path
from yivideo_pipeline.cli.outcome import Outcome
from yivideo_pipeline.errors.tree import SystemFault

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
