"""Progress while videos are processed: bars with an ETA on a terminal, a line per video elsewhere."""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column

from yivideo_pipeline.cli.console import clock, show_path
from yivideo_pipeline.cli.preflight import PlannedVideo, ProcessPlan
from yivideo_pipeline.cli.report import VideoOutcome, result_line
from yivideo_pipeline.plurals import plural

_SHARES = {"video": 0.01, "audio": 0.04, "transcript": 0.93, "alignment": 0.01, "subtitles": 0.01}
"""Shares of a video's time, measured with base in int8 on two cores and words timed by attention; the
alignment by wav2vec2 takes more."""
_BEFORE_SPEECH = _SHARES["video"] + _SHARES["audio"]
"""What is done before the model works, whose pace says nothing about the rest."""
_ROUNDING = 1e-9
_LEFT_OPEN = 0.05
"""Share of what is left of a stage that the bar leaves open while it moves between two reports."""


class Reporter(Protocol):
    """Shows the progress; used as a context, which cleans up what it shows."""

    def __enter__(self) -> Self:
        """Start to show progress."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing it."""
        ...

    def begin(self, videos: Sequence[PlannedVideo]) -> None:
        """Show the next videos, which are processed together."""
        ...

    def advance(self, key: str, stage: str, fraction: float) -> None:
        """Show how much of a stage of one of these videos is done, 0 to 1; called by any thread."""
        ...

    def finish(self, outcomes: Sequence[VideoOutcome]) -> None:
        """Show what became of videos."""
        ...


def choose_reporter(console: Console, plan: ProcessPlan, lines: "Lines", *, live: bool) -> Reporter:
    """Return bars above which the lines are printed for a user who watches a terminal, else the lines."""
    return Bars(console, plan, lines) if live else lines


class Lines:
    """Prints one line per video, when it is done; `total` is the number of videos."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._finished = 0

    def __enter__(self) -> Self:
        """Start to show progress."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing it."""

    def begin(self, videos: Sequence[PlannedVideo]) -> None:
        """Print nothing: a line comes when a video is done."""

    def advance(self, key: str, stage: str, fraction: float) -> None:
        """Print nothing."""

    def finish(self, outcomes: Sequence[VideoOutcome]) -> None:
        """Print the videos' lines."""
        for outcome in outcomes:
            self._finished += 1
            self._console.print(f"[{self._finished}/{self._total}] {result_line(outcome)}")


class Bars:
    """Shows a bar for the videos at work and one for all videos, with the time that is left."""

    def __init__(self, console: Console, plan: ProcessPlan, lines: Lines) -> None:
        self._lines = lines
        self._eta = Eta(plan.duration_s)
        self._videos = {video.path: video for video in plan.videos}
        self._lock = threading.Lock()
        self._total = len(plan.videos)
        self._finished = 0
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, min_width=28)),
            console=console,
            transient=True,
            expand=True,
        )
        self._video = self._progress.add_task("", total=1.0, note="", visible=False)
        self._all = self._progress.add_task(self._count(), total=1.0, note="", visible=self._total > 1)

    def __enter__(self) -> Self:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bars."""
        self._progress.stop()

    def begin(self, videos: Sequence[PlannedVideo]) -> None:
        """Show the next videos' bar."""
        self._eta.begin({video.key: video.duration_s for video in videos})
        others = len(videos) - 1
        name = "".join(show_path(video.path) for video in videos[:1])
        name += f" and {plural(others, 'other')}" if others > 0 else ""
        self._progress.reset(self._video, description=name, note="", visible=bool(videos))

    def advance(self, key: str, stage: str, fraction: float) -> None:
        """Move the bars."""
        with self._lock:
            self._eta.advance(key, stage, fraction)
            rtfx = self._eta.rtfx
            speed = f", {rtfx:.1f} × real time" if rtfx else ""
            self._progress.update(self._video, completed=self._eta.fraction, note=f"{stage}{speed}")
            self._show_overall()

    def finish(self, outcomes: Sequence[VideoOutcome]) -> None:
        """Print the videos' lines above the bars."""
        self._finished += len(outcomes)
        ended = [self._videos[outcome.path] for outcome in outcomes]
        worked = {video.key for video, one in zip(ended, outcomes, strict=True) if one.rtfx is not None}
        self._eta.finish({video.key: video.duration_s for video in ended}, worked)
        self._lines.finish(outcomes)
        self._progress.update(self._video, visible=False)
        self._show_overall()

    def _show_overall(self) -> None:
        left_s = self._eta.remaining_s
        note = "" if left_s is None else f"about {clock(left_s)} left"
        self._progress.update(self._all, completed=self._eta.overall, description=self._count(), note=note)

    def _count(self) -> str:
        return f"{self._finished} of {plural(self._total, 'video')}"


class Eta:
    """Estimates how much of the work is done, how fast it goes, and how long the rest takes.

    It counts seconds of audio over all videos. A model reports after each batch, and that it still works in
    between: meanwhile the estimate moves on at the pace so far.

    Args:
        total_s: Duration of all videos together, as far as it is known.
        now: A clock.
    """

    def __init__(self, total_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._total_s = total_s
        self._finished_s = 0.0
        self._worked_s = 0.0
        self._spent_s = 0.0
        self.begin({})

    def begin(self, durations: Mapping[str, float | None]) -> None:
        """Start with the next videos, by key; the duration is None where it is not known."""
        self._durations = {key: duration_s or 0.0 for key, duration_s in durations.items()}
        self._done = dict.fromkeys(durations, 0.0)
        self._started = self._reported_at = self._now()
        self._reported = 0.0
        self.fraction = 0.0
        """Share of these videos that is done, 0 to 1."""

    def advance(self, key: str, stage: str, fraction: float) -> None:
        """Note how much of a stage of a video is done, 0 to 1; also where that is as much as before."""
        now, stages = self._now(), list(_SHARES)
        before = sum(_SHARES[name] for name in stages[: stages.index(stage)])
        weight = self._weight_of(key)
        if (done := before + _SHARES[stage] * fraction) > self._done[key]:
            self._done[key], self._reported_at = done, now
            self._reported = sum(share * self._weight_of(one) for one, share in self._done.items())
        ahead = 0.0
        if self._is_pace_known and self._reported_at > self._started:
            pace = self._reported / (self._reported_at - self._started)
            left = weight * (before + _SHARES[stage] - self._done[key])
            ahead = max(0.0, min(pace * (now - self._reported_at), (1 - _LEFT_OPEN) * left))
        self.fraction = max(self.fraction, self._reported + ahead)

    def finish(self, durations: Mapping[str, float | None], worked: Collection[str]) -> None:
        """End videos, by key; those that were processed before don't count for the speed.

        Args:
            durations: Of the videos that ended; they need not have begun.
            worked: Those that were processed now.
        """
        self._finished_s += sum(duration_s or 0.0 for duration_s in durations.values())
        if worked:
            self._worked_s += sum(durations[key] or 0.0 for key in worked)
            self._spent_s += self._now() - self._started
        self.begin({key: known for key, known in self._durations.items() if key not in durations})

    @property
    def rtfx(self) -> float | None:
        """Seconds of audio per second of work on these videos; None while that is a guess."""
        spent_s = self._now() - self._started
        return self._at_work_s / spent_s if self._is_pace_known and spent_s > 0 else None

    @property
    def overall(self) -> float:
        """Share of all work that is done, 0 to 1."""
        return min(1.0, self._done_s / self._total_s) if self._total_s else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds until all is done at the speed so far; None while that is a guess."""
        worked_s, spent_s = self._worked_s, self._spent_s
        if self._is_pace_known:
            worked_s += self._at_work_s
            spent_s += self._now() - self._started
        if worked_s <= 0 or spent_s <= 0:
            return None
        return max(0.0, self._total_s - self._done_s) * spent_s / worked_s

    @property
    def _is_pace_known(self) -> bool:
        return self._reported > _BEFORE_SPEECH + _ROUNDING

    @property
    def _done_s(self) -> float:
        return self._finished_s + self._at_work_s

    @property
    def _at_work_s(self) -> float:
        """Seconds of audio that are done of the videos at work."""
        return self.fraction * sum(self._durations.values())

    def _weight_of(self, key: str) -> float:
        """Return a video's share of those at work."""
        all_s = sum(self._durations.values())
        return self._durations[key] / all_s if all_s else 1 / len(self._durations)


def single_bar(console: Console, name: str, *, live: bool) -> tuple[Progress, Callable[[float], None]]:
    """Return a bar for one thing that takes a while, and the function that moves it."""
    progress = Progress(console=console, transient=True, disable=not live)
    task = progress.add_task(name, total=1.0)
    return progress, lambda fraction: progress.update(task, completed=fraction)
