"""Selects the videos that need work: each has one reason, or one for which it is left out."""

import fnmatch
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from yivideo_pipeline.defs.backfills.launch import videos_under_way
from yivideo_pipeline.defs.dagster_internals import open_attempts
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.defs.runs import UNFINISHED
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.stages import LAST_STAGE, STAGES, VIDEOS, stages_from
from yivideo_pipeline.storage.partition_keys import path_of
from yivideo_pipeline.storage.remote_paths import AnyPath

if TYPE_CHECKING:
    from upath import UPath

FIRST_STAGE = next(iter(STAGES))


class BackfillReason(StrEnum):
    """Why a video is selected; where several reasons apply, the first."""

    FAILED = "failed"
    MISSING = "missing"
    STALE = "stale"
    NEW = "new in the library"
    ASKED = "asked for"


class LeftOut(StrEnum):
    """Why a video that fits is not selected."""

    QUARANTINED = "quarantined after failures"
    UNDER_WAY = "in progress or queued"
    GONE = "without a file"


@dataclass(frozen=True)
class BackfillFilter:
    """Which videos are wanted; all conditions must fit.

    Attributes:
        reasons: Only videos with these reasons. Empty: every video, also one that lacks nothing.
        since: Only videos whose file was added or changed since this Unix time.
        match: Only videos whose key fits this glob, case-sensitive; `*` also matches `/`.
    """

    reasons: frozenset[BackfillReason] = frozenset()
    since: float | None = None
    match: str | None = None

    def wants(self, reason: BackfillReason) -> bool:
        """Return whether a video is wanted for this reason."""
        return not self.reasons or reason in self.reasons

    def fits(self, key: str) -> bool:
        """Return whether a video's key fits the glob."""
        return self.match is None or fnmatch.fnmatchcase(key, self.match)


@dataclass(frozen=True)
class Candidate:
    """A video to work on: the reason, and the first stage that has something to do."""

    key: str
    reason: BackfillReason
    start: str

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages to make: the first stage with work, and all after it."""
        return stages_from(self.start)


@dataclass(frozen=True)
class Selection:
    """The selected videos, in the order in which they were registered, and those left out.

    Attributes:
        videos: The selected ones.
        left_out: Why a video that would fit is not among them, by key.
        registered: All videos.
    """

    videos: tuple[Candidate, ...]
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    registered: tuple[str, ...] = ()

    def reasons(self) -> Counter[BackfillReason]:
        """Count the videos by reason."""
        return Counter(video.reason for video in self.videos)

    def by_start(self) -> dict[str, list[str]]:
        """Return the videos' keys by the first stage to make, in the stages' order."""
        starts = {stage: [one.key for one in self.videos if one.start == stage] for stage in STAGES}
        return {stage: keys for stage, keys in starts.items() if keys}


@dataclass(frozen=True)
class LibraryState:
    """All videos by their state in Dagster, read by a few queries over all of them.

    Attributes:
        registered: All partitions, in the order in which they came.
        made: Those whose subtitles were made at some time.
        failed: Those of which a stage failed at its last attempt. The UI counts the same ones.
        under_way: Those that a run or an unfinished backfill has still to do.
    """

    registered: Sequence[str]
    made: set[str]
    failed: set[str]
    under_way: set[str]


def select_videos(
    instance: dg.DagsterInstance,
    ledger: Ledger,
    library: Library,
    keys_now: Mapping[str, tuple[str, ...]],
    wanted: BackfillFilter,
) -> Selection:
    """Select the videos that fit a filter.

    Args:
        instance: Knows what was made, what failed and what is under way.
        ledger: Knows by which cache key, and what is quarantined.
        library: Where the files are.
        keys_now: Cache keys by which the stages are up to date, in their order; a stage without one is
            never stale.
        wanted: The filter.
    """
    state = read_state(instance)
    stale = _first_stale(ledger, keys_now) if wanted.wants(BackfillReason.STALE) else {}
    fitting = {}
    for key in state.registered:
        candidate = _candidate(key, state, stale)
        if wanted.wants(candidate.reason) and wanted.fits(key):
            fitting[key] = candidate
    left_out = _left_out(fitting, state, ledger, library, wanted.since)
    selected = tuple(video for key, video in fitting.items() if key not in left_out)
    reasons = {key: reason for key, reason in left_out.items() if reason is not None}
    return Selection(selected, reasons, tuple(state.registered))


def _candidate(key: str, state: LibraryState, stale: Mapping[str, str]) -> Candidate:
    if key in state.failed:
        return Candidate(key, BackfillReason.FAILED, FIRST_STAGE)
    if key not in state.made:
        return Candidate(key, BackfillReason.MISSING, FIRST_STAGE)
    if key in stale:
        return Candidate(key, BackfillReason.STALE, stale[key])
    return Candidate(key, BackfillReason.ASKED, FIRST_STAGE)


def _first_stale(ledger: Ledger, keys_now: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the first stage of each video that would make something else today."""
    first: dict[str, str] = {}
    for stage, current in keys_now.items():
        for key in ledger.materializations.other_recipes(stage, *current):
            first.setdefault(key, stage)
    return first


def _left_out(
    keys: Iterable[str], state: LibraryState, ledger: Ledger, library: Library, since: float | None
) -> dict[str, LeftOut | None]:
    """Return why videos are left out; None for those whose file is older than the filter asks for."""
    quarantined = ledger.failures.quarantined()
    files = _Files(library)
    left_out: dict[str, LeftOut | None] = {}
    for key in keys:
        entry = files.find(key)
        if entry is not None and since is not None and _changed_at(entry) < since:
            left_out[key] = None
        elif key in state.under_way:
            left_out[key] = LeftOut.UNDER_WAY
        elif key in quarantined:
            left_out[key] = LeftOut.QUARANTINED
        elif entry is None:
            left_out[key] = LeftOut.GONE
    return left_out


class _Files:
    """The library's files, found by reading each folder once."""

    def __init__(self, library: Library) -> None:
        self._roots = library.roots
        self._folders: dict[AnyPath, dict[str, os.DirEntry[str] | UPath]] = {}

    def find(self, key: str) -> "os.DirEntry[str] | UPath | None":
        """Return a video's entry in its folder; None where there is none, or the folder can't be read."""
        try:
            path = path_of(key, self._roots)
        except ValueError:  # its library root no longer exists
            return None
        entries = self._folders.get(path.parent)
        if entries is None:
            entries = self._folders[path.parent] = _list(path.parent)
        return entries.get(path.name)


def _list(folder: AnyPath) -> "dict[str, os.DirEntry[str] | UPath]":
    try:
        if not isinstance(folder, Path):
            return {child.name: child for child in folder.iterdir()}
        with os.scandir(folder) as entries:
            return {entry.name: entry for entry in entries}
    except OSError:
        return {}


def _changed_at(entry: "os.DirEntry[str] | UPath") -> float:
    """Return when a file was added or changed: one copied with its old date was added at the inode's time."""
    try:
        times = entry.stat()
    except FileNotFoundError:  # it was deleted since the folder was read
        return 0.0
    return max(times.st_mtime, times.st_ctime)


def read_state(instance: dg.DagsterInstance) -> LibraryState:
    """Read the state of all videos; the number of queries does not grow with them."""
    unfinished = set(instance.get_run_ids(dg.RunsFilter(statuses=UNFINISHED)))
    failed_runs = set(instance.get_run_ids(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])))
    failed: set[str] = set()
    under_way = videos_under_way(instance)
    for key, run_id in open_attempts(instance, STAGES):
        if run_id in unfinished:
            under_way.add(key)
        elif run_id in failed_runs:
            failed.add(key)
    return LibraryState(
        registered=instance.get_dynamic_partitions(VIDEOS),
        made=instance.get_materialized_partitions(dg.AssetKey(LAST_STAGE)),
        failed=failed,
        under_way=under_way,
    )
