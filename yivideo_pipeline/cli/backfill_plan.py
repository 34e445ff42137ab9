"""What `yivideo backfill` says: what would be done, how long it takes, what was launched."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from yivideo_pipeline.cli.console import printable
from yivideo_pipeline.defs.backfills.estimate import Estimate
from yivideo_pipeline.defs.backfills.orders import count_videos, say_reasons
from yivideo_pipeline.defs.backfills.selection import STAGES, LeftOut, Selection

_SHOWN = 5


@dataclass(frozen=True)
class Launched:
    """A backfill that was launched, and where its page is."""

    id: str
    url: str
    videos: int
    stages: tuple[str, ...]


def print_plan(people: Console, selection: Selection, estimate: Estimate) -> None:
    """Say which videos would be made, from which stage on, and how long it takes."""
    if selection.videos:
        people.print(f"{count_videos(len(selection.videos))} to make: {say_reasons(selection)}.")
        for video in selection.videos[:_SHOWN]:
            people.print(f"  {video.reason}: {printable(video.key)}")
        if len(selection.videos) > _SHOWN:
            people.print(f"  … and {len(selection.videos) - _SHOWN} more")
        for start, keys in selection.by_start().items():
            stages = STAGES[STAGES.index(start) :]
            people.print(
                f"Stages of {count_videos(len(keys))}: {', '.join(stages)}; what is made already is reused."
            )
        people.print(say_estimate(estimate))
    else:
        people.print(f"Nothing to do among {count_videos(len(selection.registered))}.")
    if selection.left_out:
        counts = Counter(selection.left_out.values())
        told = ", ".join(f"{counts[why]} {why}" for why in LeftOut if counts[why])
        people.print(f"Left out: {told}.")


def say_estimate(estimate: Estimate) -> str:
    """Say how long it takes at most, if that is known."""
    if estimate.work_s is None or estimate.audio_s is None:
        return "How long it takes is not known yet: too little was made with this model on this machine."
    guess = f", {estimate.guessed} lengths guessed" if estimate.guessed else ""
    return (
        f"At the usual speed: about {_span(estimate.work_s)} for {_span(estimate.audio_s)} of sound{guess}."
    )


def print_launched(people: Console, launched: Sequence[Launched], *, daemon: bool) -> None:
    """Say what was launched, where to watch it, and what it still needs."""
    for one in launched:
        people.print(f"Launched backfill {one.id}: {one.url}")
    if not daemon:
        people.print("It starts as soon as `yivideo up` runs.")


def as_json(selection: Selection, estimate: Estimate, launched: Sequence[Launched]) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "registered": len(selection.registered),
        "videos": [{"key": one.key, "reason": one.reason, "start": one.start} for one in selection.videos],
        "left_out": [{"key": key, "reason": why} for key, why in selection.left_out.items()],
        "estimate": asdict(estimate),
        "launched": [asdict(one) for one in launched],
    }


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
