"""Decides what is done with one file of the library: the one place that the watch and `yivideo why` ask.

Nothing here looks at a disk or a database: what has to be looked up comes as a callable, and is called as
late as can be, so that no file is opened that is known or passed over for another reason.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple

from yivideo_pipeline.ledger.failures import Quarantined
from yivideo_pipeline.ledger.files import FileRecord, Stamp
from yivideo_pipeline.library.existing import MediaFacts, Sidecar, speaks
from yivideo_pipeline.settings.model import LibrarySettings

# PART library/decision.py: What is done with a file of the library, and why: every answer that the watch can give.

Action = Literal["take", "take_again", "known", "wait", "pass", "retire", "hold"]


class Why(Enum):
    """One reason each; the reason decides the action."""

    action: Action
    sentence: str

    def __init__(self, action: Action, sentence: str) -> None:
        self.action = action
        self.sentence = sentence

    NEW = "take", "It is new and complete"
    MOVED = "take", "It is a known video that was moved"
    COPIED = "take", "It is a known video under one more name"
    BACK = "take", "It was deleted and is there again"
    CHANGED = "take_again", "The file was changed since it was taken"
    CHANGED_ASIDE = "take_again", "It was set aside for its failures, and the file was changed since"

    TAKEN = "known", "It was taken before, and the file is the same"
    GONE = "known", "The file was deleted, and its partition is kept (library.deleted: keep)"
    RETIRED = "known", "The file was deleted, and its partition was taken out"

    SETTLING = "wait", "It may still be written: size and time have to stand still for library.settle_s"
    MISSED = "wait", "The file is not there: it counts as deleted when it stays away for library.settle_s"
    QUEUED = "wait", "Others are first: it comes with one of the next looks"

    TEMPORARY = "pass", "Its name is that of an unfinished file"
    HIDDEN = "pass", "It is hidden: its name or a folder's begins with a dot"
    IGNORED = "pass", "library.ignore passes over it"
    OURS = "pass", "It lies in a folder of yivideo's own"
    OTHER_ENDING = "pass", "Its ending is none of library.extensions"
    OTHER_ROOT = "pass", "It belongs to another root, which lies inside this one"
    LINKED = "pass", "It lies behind a link to a folder, and those are not followed"
    OUTSIDE = "pass", "It lies in none of the library's roots"
    NO_FILE = "pass", "There is no such file"
    NO_REGULAR_FILE = "pass", "It is a folder, a pipe or a device, not a file"
    OBSCURED = "pass", "It can't be looked at now"
    TOO_SMALL = "pass", "It is smaller than library.min_size_bytes"
    TOO_LONG = "pass", "It is longer than library.max_duration_s"
    NO_SOUND = "pass", "It has no sound"
    UNREADABLE = "pass", "It does not open as media"
    SUBTITLED = "pass", "It has subtitles in the wanted language (library.existing_subtitles: skip)"
    SET_ASIDE = "pass", "It was set aside for its failures"

    DELETED = "retire", "The file was deleted (library.deleted: archive); its artifacts stay"

    ROOT_GONE = "hold", "Its root is not there: nothing counts as deleted"
    ROOT_CLOSED = "hold", "Its root can't be read: nothing counts as deleted"
    ROOT_EMPTY = "hold", "Its root is empty all of a sudden: nothing counts as deleted"
    MOUNT_GONE = "hold", "A disk or share that was mounted there is gone: nothing counts as deleted"
    FOLDER_CLOSED = "hold", "Its folder can't be read: nothing counts as deleted"
    LINK_BROKEN = "hold", "It is there but can't be looked at: it does not count as deleted"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with a file, for which reason, and what is particular about this file."""

    why: Why
    detail: str = ""

    @property
    def action(self) -> Action:
        """What is done with it."""
        return self.why.action

    @property
    def reason(self) -> str:
        """The reason as one plain sentence, the same for all files that it holds for."""
        return self.why.sentence

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def shown(name: str) -> str:
    """Return a file's name as text that can be printed and stored, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "replace")


@dataclass(frozen=True)
class Policy:
    """The settings that decide: the library's, and the spoken language (`auto`: as it is heard)."""

    library: LibrarySettings
    language: str = "auto"


class Twin(NamedTuple):
    """A video that was taken in the same state, under another key; and whether it is not there any more."""

    key: str
    is_gone: bool


@dataclass(frozen=True)
class Case:
    """One file, and what is known of it.

    Attributes:
        now: Unix seconds.
        stamp: Its size and time; None where it is not there.
        record: What was noted of it, this look's observation included.
        quarantined: Why it was set aside.
        obstacle: Why it can't be said whether it is still there, where it is not found.
        twin: The video that it seems to be, if it was never taken itself.
        sidecars: Looks up the subtitles beside it that are not ours.
        facts: Opens it; a decision where it can't be opened now.
    """

    now: float
    stamp: Stamp | None
    record: FileRecord
    quarantined: Quarantined | None = None
    obstacle: Decision | None = None
    twin: Twin | None = None
    sidecars: Callable[[], Sequence[Sidecar]] = field(default=tuple)
    facts: Callable[[], MediaFacts | Decision] = field(default=MediaFacts)


def decide(case: Case, policy: Policy) -> Decision:
    """Decide what is done with a file, and why."""
    if case.stamp is None:
        return _decide_missing(case, policy)
    if case.quarantined and _stamp_of(case.quarantined) == case.stamp:
        return Decision(Why.SET_ASIDE, case.quarantined.failed.message)
    cause = _cause(case, policy)
    if cause.action not in ("take", "take_again"):
        return Decision(cause)
    return _find_against(case, policy, cause) or _accept(case, cause)


def _decide_missing(case: Case, policy: Policy) -> Decision:
    if case.record.taken is None:
        return case.obstacle or Decision(Why.NO_FILE)
    if case.record.retired_at is not None:
        return Decision(Why.RETIRED)
    if case.obstacle:
        return case.obstacle
    if not _is_long_missing(case, policy):
        return Decision(Why.MISSED)
    return Decision(Why.DELETED if policy.library.deleted == "archive" else Why.GONE)


def _cause(case: Case, policy: Policy) -> Why:
    """Say why the file would be taken, or why it need not or can't be yet."""
    record = case.record
    was_gone = record.retired_at is not None or _is_long_missing(case, policy)
    if record.taken == case.stamp and not was_gone and not case.quarantined:
        return Why.TAKEN
    if case.now - record.steady_since < policy.library.settle_s:
        return Why.SETTLING
    if case.quarantined:
        return Why.CHANGED_ASIDE
    if record.taken is not None:
        return Why.BACK if was_gone else Why.CHANGED
    if case.twin:
        return Why.MOVED if case.twin.is_gone else Why.COPIED
    return Why.NEW


def _find_against(case: Case, policy: Policy, cause: Why) -> Decision | None:
    """Say what speaks against taking a file that stands still; what needs no opening comes first."""
    library = policy.library
    if case.stamp and case.stamp.size_bytes < library.min_size_bytes:
        return Decision(Why.TOO_SMALL, f"{case.stamp.size_bytes} of {library.min_size_bytes} bytes")
    # The subtitles that we made of it may have been moved or copied along.
    looks = library.existing_subtitles == "skip" and cause not in (Why.MOVED, Why.COPIED)
    sidecars = case.sidecars() if looks else ()
    if found := _beside(sidecars, None if policy.language == "auto" else policy.language):
        return found
    facts = case.facts()
    if isinstance(facts, Decision):
        return facts
    if facts.trouble is not None:
        return Decision(Why.UNREADABLE, facts.trouble)
    if not facts.has_sound:
        return Decision(Why.NO_SOUND)
    if library.max_duration_s is not None and (facts.duration_s or 0) > library.max_duration_s:
        return Decision(Why.TOO_LONG, f"{facts.duration_s:.0f} of {library.max_duration_s:g} s")
    if not looks:
        return None
    wanted = facts.language if policy.language == "auto" else policy.language
    return _beside(sidecars, wanted, sure=True) or _inside(facts, wanted)


def _beside(sidecars: Sequence[Sidecar], wanted: str | None, sure: bool = False) -> Decision | None:
    """Find subtitles beside the video; as long as the wanted language isn't sure only those that say none."""
    for sidecar in sidecars:
        if sidecar.language is None or ((wanted or sure) and speaks(sidecar.language, wanted)):
            return Decision(Why.SUBTITLED, shown(sidecar.name))
    return None


def _inside(facts: MediaFacts, wanted: str | None) -> Decision | None:
    for language in facts.subtitles:
        if speaks(language, wanted):
            return Decision(Why.SUBTITLED, f"a track inside, {language or 'of no language'}")
    return None


def _accept(case: Case, cause: Why) -> Decision:
    return Decision(cause, case.twin.key if case.twin else "")


def _is_long_missing(case: Case, policy: Policy) -> bool:
    since = case.record.missing_since
    return since is not None and case.now - since >= policy.library.settle_s


def _stamp_of(quarantined: Quarantined) -> Stamp:
    return Stamp(quarantined.size_bytes, quarantined.mtime_ns)
