"""The queue of runs as a person steers it: who is where in it, to the front; and how a video is forgotten.

Dagster's daemon starts queued runs by the tag `dagster/priority`, then by age. It has no pause of its own:
`defs/sqlite_storage.VideoInstance` lets it start nothing while the queue is paused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import dagster as dg

from yivideo_pipeline.history.instance import is_paused
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.stages import AUTOMATIC_TAG, PARTITION_TAG, PRIORITY_TAG, RANGE_TAGS, STAGES, VIDEOS
from yivideo_pipeline.storage.artifacts import Storage

_READ_AT_ONCE = 1000
_LATEST = 5
"""How many backfills are looked at: one that is not at its end is among the latest."""
_shared: dict[str, tuple[str, ...]] = {}
"""The videos of unfinished shared runs, by the run's id: to read all 100,000 for them takes half a second."""
_WORKING = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_WAITING = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED)


@dataclass(frozen=True)
class VideoRun:
    """An unfinished run.

    Attributes:
        run_id: Its id.
        root_id: The id of the first run of which it is a retry, or its own.
        keys: Its videos: one, or those of a backfill that share it.
        stages: What it makes.
        place: Its place in the queue, from 1 on; None once it has begun.
        is_plain: Whether it makes its videos by the settings, without choices of its own.
    """

    run_id: str
    root_id: str
    keys: tuple[str, ...]
    stages: tuple[str, ...]
    place: int | None
    is_plain: bool

    @property
    def is_shared(self) -> bool:
        """Whether several videos share it."""
        return len(self.keys) > 1


@dataclass(frozen=True)
class RunsByVideo:
    """The unfinished runs.

    Attributes:
        runs: The latest run of each video that has one.
        waiting: How many runs wait.
        working: How many have begun.
        has_backfill: Whether a backfill is not at its end: the daemon may still have to make its runs.
        is_paused: Whether the queue is paused.
    """

    runs: dict[str, VideoRun]
    waiting: int
    working: int
    has_backfill: bool
    is_paused: bool


def read_runs(instance: dg.DagsterInstance) -> RunsByVideo:
    """Return which videos have an unfinished run, and in which order those that wait will begin."""
    waiting, working = _waiting(instance), instance.get_runs(dg.RunsFilter(statuses=list(_WORKING)))
    placed = [(run, place) for place, run in enumerate(waiting, 1)] + [(run, None) for run in working]
    shared = _shared.copy()  # another request may forget one meanwhile
    registered = _registered(instance, [run for run, _ in placed], shared)
    read = [_read(run, place, registered, shared) for run, place in placed]
    runs = {key: one for one in read for key in one.keys}
    _shared.update(shared)
    for gone in shared.keys() - {one.run_id for one in read}:
        _shared.pop(gone, None)
    has_backfill = any(one.status.value == "REQUESTED" for one in instance.get_backfills(limit=_LATEST))
    return RunsByVideo(runs, len(waiting), len(working), has_backfill, is_paused(instance))


def move_to_front(instance: dg.DagsterInstance, keys: Iterable[str]) -> list[str]:
    """Let the waiting runs of these videos begin before all others; return the videos that have one.

    They count as a user's own from then on, as far as limits on automatic runs go. Videos that share such a
    run are moved with it.
    """
    chosen, waiting = set(keys), _waiting(instance)
    top = max(map(_priority, waiting), default=0)
    shared, moved = _shared.copy(), set[str]()
    registered = _registered(instance, waiting, shared)
    for run in waiting:
        if found := chosen.intersection(_read(run, None, registered, shared).keys):
            tags = {PRIORITY_TAG: str(max(top, 0) + 1), AUTOMATIC_TAG: "false"}
            instance.add_run_tags(run.run_id, tags)
            moved |= found
    return sorted(moved)


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


def _registered(
    instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun], shared: Mapping[str, tuple[str, ...]]
) -> Mapping[str, int]:
    """Return each video's number in the order of registration, where it is needed to know a run's videos."""
    if not any(RANGE_TAGS[0] in run.tags and run.run_id not in shared for run in runs):
        return {}
    return {key: number for number, key in enumerate(instance.get_dynamic_partitions(VIDEOS))}


def _read(
    run: dg.DagsterRun,
    place: int | None,
    registered: Mapping[str, int],
    shared: dict[str, tuple[str, ...]],
) -> VideoRun:
    key, tags = run.tags.get(PARTITION_TAG), run.tags
    first, last = (registered.get(tags.get(end, "")) for end in RANGE_TAGS)
    keys = (key,) if key else ()
    if first is not None and last is not None:
        shared[run.run_id] = tuple(islice(registered, first, last + 1))
    keys = shared.get(run.run_id, keys)
    selected = {asset.to_user_string() for asset in run.asset_selection or ()}
    stages = tuple(stage for stage in STAGES if stage in selected)
    return VideoRun(run.run_id, run.root_run_id or run.run_id, keys, stages, place, not run.run_config)


def _priority(run: dg.DagsterRun) -> int:
    try:
        return int(run.tags.get(PRIORITY_TAG, "0"))
    except ValueError:  # as Dagster takes it
        return 0
