"""What is shown while videos are processed: bars on a terminal, a line a video elsewhere."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column

from yivideo_pipeline.cli.console import clock, show_path
from yivideo_pipeline.cli.outcome import Outcome
from yivideo_pipeline.cli.pace import Pace
from yivideo_pipeline.cli.preflight import Plan, Video
from yivideo_pipeline.cli.report import result_line


class Reporter(Protocol):
    """Told of the work; use it as a context, which cleans up what it shows."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""
        ...

    def begin(self, video: Video) -> None:
        """Show the next video."""
        ...

    def advance(self, stage: str, fraction: float) -> None:
        """Show how much of a stage of this video is done, 0 to 1."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """Show what came of this video."""
        ...


def choose_reporter(console: Console, plan: Plan, *, live: bool) -> Reporter:
    """Return bars for a person who watches, else lines."""
    return Bars(console, plan) if live else Lines(console, plan)


class Lines:
    """One line a video, when it is done."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._total = len(plan.videos)
        self._finished = 0

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""

    def begin(self, video: Video) -> None:
        """Say nothing: the line comes when the video is done."""

    def advance(self, stage: str, fraction: float) -> None:
        """Say nothing."""

    def finish(self, outcome: Outcome) -> None:
        """Print the video's line."""
        self._finished += 1
        self._console.print(f"[{self._finished}/{self._total}] {result_line(outcome)}")


class Bars:
    """A bar for the video that is worked on and one for all, which also tells how long it will take."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._lines = Lines(console, plan)
        self._pace = Pace(plan.duration_s)
        self._total = len(plan.videos)
        self._finished = 0
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, min_width=24)),
            console=console,
            transient=True,
            expand=True,
        )
        self._video = self._progress.add_task("", total=1.0, note="", visible=False)
        self._all = self._progress.add_task(self._count(), total=1.0, note="", visible=self._total > 1)

    def __enter__(self) -> Self:
        """Begin to show."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bars away."""
        self._progress.stop()

    def begin(self, video: Video) -> None:
        """Show the next video's bar."""
        self._pace.begin(video.duration_s)
        name = show_path(video.path)
        self._progress.reset(self._video, description=name, note="", visible=True)

    def advance(self, stage: str, fraction: float) -> None:
        """Move the bars."""
        self._pace.advance(stage, fraction)
        rtfx = self._pace.rtfx
        speed = f", {rtfx:.1f} × real time" if rtfx else ""
        self._progress.update(self._video, completed=self._pace.fraction, note=f"{stage}{speed}")
        self._show_overall()

    def finish(self, outcome: Outcome) -> None:
        """Print the video's line above the bars."""
        self._finished += 1
        self._pace.finish(worked=outcome.rtfx is not None)
        self._lines.finish(outcome)
        self._progress.update(self._video, visible=False)
        self._show_overall()

    def _show_overall(self) -> None:
        left_s = self._pace.remaining_s
        note = "" if left_s is None else f"about {clock(left_s)} left"
        self._progress.update(self._all, completed=self._pace.overall, description=self._count(), note=note)

    def _count(self) -> str:
        return f"{self._finished} of {self._total} videos"


def fetching_bar(
    console: Console, model_name: str, *, live: bool
) -> tuple[Progress, Callable[[float], None]]:
    """Return a bar for weights that are being joined or downloaded, and what moves it."""
    progress = Progress(console=console, transient=True, disable=not live)
    task = progress.add_task(f"weights of {model_name}", total=1.0)
    return progress, lambda fraction: progress.update(task, completed=fraction)
