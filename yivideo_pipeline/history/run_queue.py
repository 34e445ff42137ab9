"""The queue of runs as a person steers it: who is where in it, to the front; and how a video is forgotten.

Dagster's daemon starts queued runs by the tag `dagster/priority`, then by age. It has no pause of its own:
`defs/sqlite_storage.VideoInstance` lets it start nothing while the queue is paused.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import dagster as dg

from yivideo_pipeline.history.instance import is_paused
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.stages import AUTOMATIC_TAG, PARTITION_TAG, PRIORITY_TAG, VIDEOS
from yivideo_pipeline.storage.artifacts import Storage

_READ_AT_ONCE = 1000
_WORKING = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_WAITING = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED)


@dataclass(frozen=True)
class VideoRun:
    """An unfinished run of one video; `place` counts from 1 in the queue, and is None once it has begun."""

    run_id: str
    root_id: str
    key: str
    place: int | None


@dataclass(frozen=True)
class RunsByVideo:
    """The unfinished runs.

    Attributes:
        runs: The latest run of each video that has a run of its own.
        waiting: How many runs wait.
        working: How many have begun.
        has_shared: Whether videos of a backfill share one of the runs: these are not among `runs`.
        is_paused: Whether the queue is paused.
    """

    runs: dict[str, VideoRun]
    waiting: int
    working: int
    has_shared: bool
    is_paused: bool


def read_runs(instance: dg.DagsterInstance) -> RunsByVideo:
    """Return which videos have an unfinished run, and in which order those that wait will begin."""
    waiting, working = _waiting(instance), instance.get_runs(dg.RunsFilter(statuses=list(_WORKING)))
    placed = [(run, place) for place, run in enumerate(waiting, 1)] + [(run, None) for run in working]
    runs = {
        key: VideoRun(run.run_id, run.root_run_id or run.run_id, key, place)
        for run, place in placed
        if (key := run.tags.get(PARTITION_TAG))
    }
    is_shared = any(PARTITION_TAG not in run.tags for run, _ in placed)
    return RunsByVideo(runs, len(waiting), len(working), is_shared, is_paused(instance))


def move_to_front(instance: dg.DagsterInstance, keys: Collection[str]) -> list[str]:
    """Let the waiting runs of these videos begin before all others; return the videos that have one.

    They count as a user's own from then on, as far as limits on automatic runs go.
    """
    waiting = _waiting(instance)
    top = max(map(_priority, waiting), default=0)
    chosen = [run for run in waiting if run.tags.get(PARTITION_TAG) in keys]
    for run in chosen:
        instance.add_run_tags(run.run_id, {PRIORITY_TAG: str(max(top, 0) + 1), AUTOMATIC_TAG: "false"})
    return [run.tags[PARTITION_TAG] for run in chosen]


def find_busy(keys: Iterable[str], ledger: Ledger, instance: dg.DagsterInstance | None) -> set[str]:
    """Return those videos that wait for a run or are at work."""
    runs = read_runs(instance).runs if instance else {}
    return {key for key in keys if key in runs or ledger.workers.at_work(key)}


def forget_video(
    key: str, ledger: Ledger, storage: Storage, instance: dg.DagsterInstance | None, *, with_results: bool
) -> None:
    """Forget a video: its failures, its place in the list, its partition; its file is not touched.

    A file of the library is not processed by itself again until it changes. Edits by hand are always kept.

    Args:
        key: Its partition key; no run may be making it.
        ledger: What is known of it.
        storage: What was made of it.
        instance: Dagster's instance, where there is one.
        with_results: Whether the artifacts are removed that no other video shares.
    """
    if with_results:
        storage.remove_results(key, ledger.materializations.own_contents(key))
    ledger.failures.release([key])
    ledger.finished.forget(key)
    ledger.materializations.forget(key)
    if instance:
        instance.delete_dynamic_partition(VIDEOS, key)
    ledger.files.note_forgotten(key)


def _waiting(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    """Return the waiting runs in the order in which Dagster's daemon lets them begin."""
    waiting = dg.RunsFilter(statuses=list(_WAITING))
    runs = instance.get_runs(waiting, limit=_READ_AT_ONCE, ascending=True)
    return sorted(runs, key=_priority, reverse=True)


def _priority(run: dg.DagsterRun) -> int:
    try:
        return int(run.tags.get(PRIORITY_TAG, "0"))
    except ValueError:  # as Dagster takes it
        return 0
