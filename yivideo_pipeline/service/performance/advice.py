"""Recommendations: each rule looks at some figures and says what would help, with the figures it rests on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from yivideo_pipeline.service.performance.machine import Disk, Gpu
from yivideo_pipeline.service.performance.summary import Summary
from yivideo_pipeline.service.performance.system import Daemon
from yivideo_pipeline.settings.options import SpeechOptions

if TYPE_CHECKING:
    import pandas as pd

IDLE_GPU_PCT = 50
ROOM_PCT = 70
LITTLE_DISK_PCT = 90


class Recommendation(BaseModel):
    """What would help."""

    name: str
    advice: str
    figures: dict[str, float | str] = Field(description="What it rests on")


@dataclass(frozen=True)
class Situation:
    """What the rules look at: the summary of the period, its operations, and how things are now."""

    summary: Summary
    works: "pd.DataFrame"
    options: SpeechOptions
    gpu: Gpu | None
    disks: dict[str, Disk | None]
    daemons: list[Daemon]


def recommend(situation: Situation) -> list[Recommendation]:
    """Return what would help, the most urgent first."""
    return [found for rule in _RULES for found in rule(situation)]


def _save_memory(now: Situation) -> Iterator[Recommendation]:
    lacking = int((now.works["kind"] == "memory").sum())
    if lacking:
        batch = now.options.batch_size
        lower = f"Lower speech.batch_size to {batch // 2}" if batch > 1 else "Take compute_type int8"
        yield Recommendation(
            name="save_memory",
            advice=f"{lower}, or take a smaller model: memory ran out",
            figures={"failed_for_memory": lacking, "batch_size": batch},
        )


def _free_disk(now: Situation) -> Iterator[Recommendation]:
    for name, disk in now.disks.items():
        if disk and disk.used_pct > LITTLE_DISK_PCT:
            yield Recommendation(
                name="free_disk",
                advice=f"Make room on the disk of {name}",
                figures={"used_pct": disk.used_pct, "free_mb": disk.free_mb},
            )


def _start_daemon(now: Situation) -> Iterator[Recommendation]:
    late = [daemon for daemon in now.daemons if not daemon.healthy]
    if late and now.summary.queue.queued:
        yield Recommendation(
            name="start_daemon",
            advice="Start `yivideo up`: runs wait, and Dagster's daemon does not start them",
            figures={
                "queued_runs": now.summary.queue.queued,
                "heartbeat_age_s": max(daemon.heartbeat_age_s for daemon in late),
            },
        )


def _speed_up(now: Situation) -> Iterator[Recommendation]:
    speed = now.summary.times_real_time
    if speed is not None and speed < 1:
        yield Recommendation(
            name="speed_up",
            advice="Take a smaller model or compute_type int8, or a GPU: work is slower than the sound plays",
            figures={"times_real_time": speed, "model": now.options.model_name},
        )


def _fill_gpu(now: Situation) -> Iterator[Recommendation]:
    use = now.summary.gpu_utilization_pct.mean
    memory = now.gpu.memory_used_pct if now.gpu else None
    if use is not None and use < IDLE_GPU_PCT and memory is not None and memory < ROOM_PCT:
        yield Recommendation(
            name="fill_gpu",
            advice=f"Raise speech.batch_size to {2 * now.options.batch_size}: the GPU has room and idles",
            figures={
                "gpu_utilization_mean_pct": use,
                "gpu_memory_used_pct": memory,
                "batch_size": now.options.batch_size,
            },
        )


def _shorten_queue(now: Situation) -> Iterator[Recommendation]:
    wait, work = now.summary.queue.wait_s.p50, now.summary.duration_s.p50
    if wait is not None and work and wait > 2 * work and wait > 60:
        yield Recommendation(
            name="shorten_queue",
            advice="Put long backfills into the night (backfills.window), or speed the work up: half of the"
            " runs wait over twice as long as they work",
            figures={"wait_p50_s": wait, "duration_p50_s": work},
        )


def _look_at_retries(now: Situation) -> Iterator[Recommendation]:
    mean = now.summary.retries.mean
    if mean is not None and mean > 0.2 and now.summary.count >= 5:
        yield Recommendation(
            name="look_at_retries",
            advice="Look at what fails before it goes well: `yivideo why VIDEO`, and the runs' logs",
            figures={"retries_mean": mean, "retries": now.summary.retries.total},
        )


def _mend_most_frequent(now: Situation) -> Iterator[Recommendation]:
    failed = now.works[~now.works["success"].astype(bool)]
    kinds = failed["kind"].fillna("unknown").value_counts()
    if len(kinds) and kinds.iloc[0] > 1:
        kind = kinds.index[0]
        hints = failed.loc[failed["kind"] == kind, "hint"].dropna()
        advice = str(hints.iloc[-1]) if len(hints) and hints.iloc[-1] else "See the failures below"
        yield Recommendation(
            name="mend_most_frequent",
            advice=f"{kind}: {advice}",
            figures={"failed": int(kinds.iloc[0]), "of": now.summary.count},
        )


_RULES: tuple[Callable[[Situation], Iterator[Recommendation]], ...] = (
    _save_memory,
    _free_disk,
    _start_daemon,
    _mend_most_frequent,
    _speed_up,
    _fill_gpu,
    _shorten_queue,
    _look_at_retries,
)
