"""What is shown while videos are processed: bars on a terminal, a line a video elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column

from yivideo_pipeline.cli.console import clock, show_path
from yivideo_pipeline.cli.preflight import Plan, Video
from yivideo_pipeline.cli.report import Outcome, result_line

# PART cli/pace.py: How far the work is, how fast it goes, and how long it will take.

_SHARES = {"video": 0.01, "audio": 0.04, "transcript": 0.93, "alignment": 0.01, "subtitles": 0.01}
"""Shares of a video's time, as measured with base in int8 on two cores and words timed by attention; by
wav2vec2 the alignment takes more."""


class Pace:
    """Counts seconds of sound that are done, over all videos.

    Args:
        total_s: Seconds of all videos together, as far as they are known.
        now: A clock.
    """

    def __init__(self, total_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._total_s = total_s
        self._passed_s = 0.0
        self._worked_s = 0.0
        self._spent_s = 0.0
        self._begin(0.0)

    def begin(self, duration_s: float | None) -> None:
        """Start with the next video."""
        self._begin(duration_s or 0.0)

    def advance(self, stage: str, fraction: float) -> None:
        """Take note of how much of a stage of this video is done, 0 to 1."""
        stages = list(_SHARES)
        before = sum(_SHARES[name] for name in stages[: stages.index(stage)])
        self.fraction = max(self.fraction, before + _SHARES[stage] * fraction)

    def finish(self, *, worked: bool) -> None:
        """End this video; one that was done before says nothing about the speed."""
        self._passed_s += self._duration_s
        if worked:
            self._worked_s += self._duration_s
            self._spent_s += self._now() - self._started
        self._begin(0.0)

    @property
    def rtfx(self) -> float | None:
        """Seconds of sound a second of work on this video; None as long as that is a guess."""
        spent_s = self._now() - self._started
        return self.fraction * self._duration_s / spent_s if self.fraction and spent_s > 0 else None

    @property
    def overall(self) -> float:
        """Share of all work that is done, 0 to 1."""
        return min(1.0, self._done_s / self._total_s) if self._total_s else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds until all is done at the speed so far; None as long as that is a guess."""
        worked_s = self._worked_s + self.fraction * self._duration_s
        spent_s = self._spent_s + (self._now() - self._started if self.fraction else 0.0)
        if worked_s <= 0 or spent_s <= 0:
            return None
        return max(0.0, self._total_s - self._done_s) * spent_s / worked_s

    @property
    def _done_s(self) -> float:
        return self._passed_s + self.fraction * self._duration_s

    def _begin(self, duration_s: float) -> None:
        self._duration_s = duration_s
        self._started = self._now()
        self.fraction = 0.0
        """Share of this video that is done, 0 to 1."""


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
