"""Which videos need work, and why: each has one reason, or one for being left out."""

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import dagster as dg

from yivideo_pipeline.defs.dagster_internals import open_attempts, videos_under_way
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.stages import LAST_STAGE, STAGES, VIDEOS, stages_from
from yivideo_pipeline.storage.partition_keys import path_of

# PART defs/backfills/state.py: What Dagster knows of all videos, by a few queries over all of them.

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class State:
    """Videos by what Dagster says of them.

    Attributes:
        registered: All partitions, in the order in which they came.
        made: Those whose subtitles were made at some time.
        failed: Those of which a stage failed when it was tried last. The UI counts the same ones.
        under_way: Those that a run or an unfinished backfill has still to do.
    """

    registered: Sequence[str]
    made: set[str]
    failed: set[str]
    under_way: set[str]


def read_state(instance: dg.DagsterInstance) -> State:
    """Read the state of all videos; the number of queries does not grow with them."""
    unfinished = set(instance.get_run_ids(dg.RunsFilter(statuses=_UNFINISHED)))
    went_wrong = set(instance.get_run_ids(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])))
    failed: set[str] = set()
    under_way = videos_under_way(instance)
    for key, run_id in open_attempts(instance, STAGES):
        if run_id in unfinished:
            under_way.add(key)
        elif run_id in went_wrong:
            failed.add(key)
    return State(
        registered=instance.get_dynamic_partitions(VIDEOS),
        made=instance.get_materialized_partitions(dg.AssetKey(LAST_STAGE)),
        failed=failed,
        under_way=under_way,
    )


FIRST_STAGE = next(iter(STAGES))


class Reason(StrEnum):
    """Why a video is chosen; where several apply, the first."""

    FAILED = "failed"
    MISSING = "missing"
    STALE = "stale"
    ASKED = "asked for"


class LeftOut(StrEnum):
    """Why a video that fits is not chosen."""

    QUARANTINED = "set aside after failures"
    UNDER_WAY = "in progress or queued"
    GONE = "without a file"


@dataclass(frozen=True)
class Wish:
    """What somebody wants to be done; all of it must fit.

    Attributes:
        reasons: For these reasons alone. Empty: every video, also one that lacks nothing.
        since: Only videos whose file came or changed since, in Unix seconds.
        match: Only videos whose key fits this glob, upper and lower case apart; `*` also stands for `/`.
    """

    reasons: frozenset[Reason] = frozenset()
    since: float | None = None
    match: str | None = None

    def wants(self, reason: Reason) -> bool:
        """Tell whether a video is wanted for this reason."""
        return not self.reasons or reason in self.reasons


@dataclass(frozen=True)
class Candidate:
    """A video to work on: why, and the first stage that has something to do."""

    key: str
    reason: Reason
    start: str

    @property
    def stages(self) -> tuple[str, ...]:
        """What is to be made: the first stage with work, and all after it."""
        return stages_from(self.start)


@dataclass(frozen=True)
class Selection:
    """What is to be done, in the order in which the videos came, and what is left out.

    Attributes:
        videos: The chosen ones.
        left_out: Why a video that would fit is not among them, by key.
        registered: All videos that there are.
    """

    videos: tuple[Candidate, ...]
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    registered: tuple[str, ...] = ()

    def reasons(self) -> Counter[Reason]:
        """Count the videos by reason."""
        return Counter(video.reason for video in self.videos)

    def by_start(self) -> dict[str, list[str]]:
        """Return the videos' keys by the first stage to make, in the stages' order."""
        starts = {stage: [one.key for one in self.videos if one.start == stage] for stage in STAGES}
        return {stage: keys for stage, keys in starts.items() if keys}


def select(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    library: Library,
    recipes: Mapping[str, str],
    wish: Wish,
) -> Selection:
    """Choose the videos that a wish is about.

    Args:
        instance: Knows what was made, what failed and what is under way.
        ledger: Knows by which recipe, and what is set aside.
        library: Where the files are.
        recipes: Of the stages as the settings are now, in their order; of those without one none is stale.
        wish: What somebody wants.
    """
    state = read_state(instance)
    stale = _first_stale(ledger, recipes) if wish.wants(Reason.STALE) else {}
    fits = _matcher(wish.match)
    wanted = {}
    for key in state.registered:
        candidate = _candidate(key, state, stale)
        if wish.wants(candidate.reason) and fits(key):
            wanted[key] = candidate
    left_out = _left_out(wanted, state, ledger, library, wish.since)
    chosen = tuple(video for key, video in wanted.items() if key not in left_out)
    told = {key: why for key, why in left_out.items() if why is not None}
    return Selection(chosen, told, tuple(state.registered))


def _candidate(key: str, state: State, stale: Mapping[str, str]) -> Candidate:
    if key in state.failed:
        return Candidate(key, Reason.FAILED, FIRST_STAGE)
    if key not in state.made:
        return Candidate(key, Reason.MISSING, FIRST_STAGE)
    if key in stale:
        return Candidate(key, Reason.STALE, stale[key])
    return Candidate(key, Reason.ASKED, FIRST_STAGE)


def _first_stale(ledger: Ledger, recipes: Mapping[str, str]) -> dict[str, str]:
    """The first stage of each video that would make something else today."""
    first: dict[str, str] = {}
    for stage, recipe in recipes.items():
        for key in ledger.materializations.other_recipes(stage, recipe):
            first.setdefault(key, stage)
    return first


def _matcher(glob: str | None) -> Callable[[str], object]:
    return re.compile(fnmatch.translate(glob)).match if glob is not None else lambda _key: True


def _left_out(
    wanted: Iterable[str], state: State, ledger: Ledger, library: Library, since: float | None
) -> dict[str, LeftOut | None]:
    """Why videos are left out; None for those that nobody asked for, because their file is older."""
    aside = ledger.failures.quarantined()
    files = _Files(library)
    left_out: dict[str, LeftOut | None] = {}
    for key in wanted:
        entry = files.find(key)
        if entry is not None and since is not None and _changed_at(entry) < since:
            left_out[key] = None
        elif key in state.under_way:
            left_out[key] = LeftOut.UNDER_WAY
        elif key in aside:
            left_out[key] = LeftOut.QUARANTINED
        elif entry is None:
            left_out[key] = LeftOut.GONE
    return left_out


class _Files:
    """The library's files, found by reading each folder once."""

    def __init__(self, library: Library) -> None:
        self._roots = library.roots
        self._folders: dict[Path, dict[str, os.DirEntry[str]]] = {}

    def find(self, key: str) -> os.DirEntry[str] | None:
        """Return a video's entry in its folder; None where there is none, or the folder can't be read."""
        try:
            path = path_of(key, self._roots)
        except ValueError:  # its library is not there any more
            return None
        entries = self._folders.get(path.parent)
        if entries is None:
            entries = self._folders[path.parent] = _list(path.parent)
        return entries.get(path.name)


def _list(folder: Path) -> dict[str, os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry for entry in entries}
    except OSError:
        return {}


def _changed_at(entry: os.DirEntry[str]) -> float:
    """When a file came or changed: one that was copied with its old date has come at the inode's time."""
    try:
        times = entry.stat()
    except FileNotFoundError:  # it went away since the folder was read
        return 0.0
    return max(times.st_mtime, times.st_ctime)
