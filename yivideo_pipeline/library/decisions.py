"""Decides what is done with one file of the library, and names the reason.

This is the one place that the watch and `yivideo why` ask. It reads neither disk nor database: what has to be
looked up is passed as a callable and called as late as possible, so that no file is opened that is known or
skipped for another reason.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple

from yivideo_pipeline.ledger.failures import Quarantined
from yivideo_pipeline.ledger.files import FORGOTTEN, FileRecord, Stamp
from yivideo_pipeline.library.existing import MediaFacts, Sidecar, is_in_language
from yivideo_pipeline.settings.sections import LibrarySettings

Action = Literal["take", "take_again", "known", "wait", "skip", "retire", "hold"]


class Reason(Enum):
    """Every reason there is; the reason decides the action.

    The ledger and `yivideo why --json` hold the names.
    """

    action: Action
    sentence: str

    def __init__(self, action: Action, sentence: str) -> None:
        self.action = action
        self.sentence = sentence

    NEW = "take", "It is new and complete"
    MOVED = "take", "It is a known video that was moved"
    COPIED = "take", "It is a copy of a known video"
    BACK = "take", "It was deleted and has come back"
    CHANGED = "take_again", "The file was changed after it was taken"
    CHANGED_IN_QUARANTINE = (
        "take_again",
        "It was quarantined, and its file was changed since",
    )

    TAKEN = "known", "It was taken before, and the file is the same"
    FORGOTTEN = "known", "A user forgot it: it is not processed by itself until its file changes"
    GONE = "known", "The file was deleted, and its partition is kept (library.deleted: keep)"
    RETIRED = "known", "The file was deleted, and its partition was removed"

    SETTLING = "wait", "It may still be written: size and time must not change for library.settle_s"
    MISSED = "wait", "The file is missing: it counts as deleted if it stays away for library.settle_s"
    QUEUED = "wait", "Others are first: it follows in one of the next scans"

    TEMPORARY = "skip", "Its name is that of an unfinished file"
    HIDDEN = "skip", "It is hidden: its name or a folder's begins with a dot"
    IGNORED = "skip", "It is ignored by library.ignore"
    OWN_FOLDER = "skip", "It lies in one of yivideo's own folders"
    OWN_COPY = "skip", "It is a copy with subtitles as a track, which yivideo made (subtitles.mux)"
    OTHER_ENDING = "skip", "Its file name extension is not among library.extensions"
    OTHER_ROOT = "skip", "It belongs to another root, which lies inside this one"
    LINKED = "skip", "It lies behind a link to a folder, and such links are not followed"
    OUTSIDE = "skip", "It lies in none of the library's roots"
    NO_FILE = "skip", "There is no such file"
    NO_REGULAR_FILE = "skip", "It is a folder, a pipe or a device, not a file"
    INACCESSIBLE = "skip", "It can't be accessed now"
    TOO_SMALL = "skip", "It is smaller than library.min_size_bytes"
    TOO_LONG = "skip", "It is longer than library.max_duration_s"
    NO_SOUND = "skip", "It has no sound"
    UNREADABLE = "skip", "It can't be opened as media"
    SUBTITLED = "skip", "It has subtitles in the wanted language (library.existing_subtitles: skip)"
    QUARANTINED = "skip", "It is quarantined for its failures"

    DELETED = "retire", "The file was deleted (library.deleted: archive); its artifacts stay"

    ROOT_GONE = "hold", "Its root does not exist: nothing counts as deleted"
    ROOT_CLOSED = "hold", "Its root can't be read: nothing counts as deleted"
    ROOT_EMPTY = "hold", "Its root is suddenly empty: nothing counts as deleted"
    MOUNT_GONE = "hold", "A disk or share that was mounted there is gone: nothing counts as deleted"
    FOLDER_CLOSED = "hold", "Its folder can't be read: nothing counts as deleted"
    LINK_BROKEN = "hold", "It exists but can't be accessed: it does not count as deleted"

    # Names in ledgers that were written before 0.2; they stand for the same members.
    CHANGED_ASIDE = CHANGED_IN_QUARANTINE
    OURS = OWN_FOLDER
    OBSCURED = INACCESSIBLE
    SET_ASIDE = QUARANTINED


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with a file: the reason, and a detail that is particular to this file."""

    reason: Reason
    detail: str = ""

    @property
    def action(self) -> Action:
        """What is done with the file."""
        return self.reason.action

    def __str__(self) -> str:
        sentence = self.reason.sentence
        return f"{sentence} ({self.detail})" if self.detail else sentence


def printable_name(name: str) -> str:
    """Return a file's name as text that can be printed and stored, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "replace")


@dataclass(frozen=True)
class Policy:
    """The settings that decide: the library's, and the spoken language (`auto`: it is detected)."""

    library: LibrarySettings
    language: str = "auto"


class Twin(NamedTuple):
    """A video that was taken in the same state under another key, and whether its file is gone."""

    key: str
    is_gone: bool


@dataclass(frozen=True)
class Case:
    """One file, and what is known of it.

    Attributes:
        now: Unix seconds.
        stamp: The file's size and time; None where the file is missing.
        record: The ledger's record of it, with what this scan saw.
        quarantined: Why it is quarantined.
        obstacle: Why a missing file may still exist.
        twin: The video that it seems to be, if it was never taken itself.
        sidecars: Looks up the subtitles beside it that yivideo did not write.
        facts: Opens it; returns a decision where it can't be opened now.
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
        return Decision(Reason.QUARANTINED, case.quarantined.failure.message)
    reason = _find_reason(case, policy)
    if reason.action not in ("take", "take_again"):
        return Decision(reason)
    return _find_against(case, policy, reason) or Decision(reason, case.twin.key if case.twin else "")


def _decide_missing(case: Case, policy: Policy) -> Decision:
    if case.record.why == FORGOTTEN:
        return Decision(Reason.FORGOTTEN if case.obstacle else Reason.NO_FILE)
    if case.record.taken is None:
        return case.obstacle or Decision(Reason.NO_FILE)
    if case.record.retired_at is not None:
        return Decision(Reason.RETIRED)
    if case.obstacle:
        return case.obstacle
    if not _is_long_missing(case, policy):
        return Decision(Reason.MISSED)
    return Decision(Reason.DELETED if policy.library.deleted == "archive" else Reason.GONE)


def _find_reason(case: Case, policy: Policy) -> Reason:
    """Return why the file would be taken, or why it need not or can't be taken yet."""
    record = case.record
    was_gone = record.retired_at is not None or _is_long_missing(case, policy)
    if record.taken == case.stamp and not was_gone and not case.quarantined:
        return Reason.FORGOTTEN if record.why == FORGOTTEN else Reason.TAKEN
    if case.now - record.steady_since < policy.library.settle_s:
        return Reason.SETTLING
    if case.quarantined:
        return Reason.CHANGED_IN_QUARANTINE
    if record.taken is not None:
        return Reason.BACK if was_gone else Reason.CHANGED
    if case.twin:
        return Reason.MOVED if case.twin.is_gone else Reason.COPIED
    return Reason.NEW


def _find_against(case: Case, policy: Policy, reason: Reason) -> Decision | None:
    """Return what speaks against taking a settled file; what needs no opening is checked first."""
    library = policy.library
    if case.stamp and case.stamp.size_bytes < library.min_size_bytes:
        return Decision(Reason.TOO_SMALL, f"{case.stamp.size_bytes} of {library.min_size_bytes} bytes")
    # Subtitles that we wrote for it may have been moved or copied along.
    checks_subtitles = library.existing_subtitles == "skip" and reason not in (Reason.MOVED, Reason.COPIED)
    sidecars = case.sidecars() if checks_subtitles else ()
    if found := _find_sidecar(sidecars, None if policy.language == "auto" else policy.language):
        return found
    facts = case.facts()
    if isinstance(facts, Decision):
        return facts
    if facts.trouble is not None:
        return Decision(Reason.UNREADABLE, facts.trouble)
    if not facts.has_sound:
        return Decision(Reason.NO_SOUND)
    if library.max_duration_s is not None and (facts.duration_s or 0) > library.max_duration_s:
        return Decision(Reason.TOO_LONG, f"{facts.duration_s:.0f} of {library.max_duration_s:g} s")
    if not checks_subtitles:
        return None
    wanted = facts.language if policy.language == "auto" else policy.language
    return _find_sidecar(sidecars, wanted, sure=True) or _find_track(facts, wanted)


def _find_sidecar(sidecars: Sequence[Sidecar], wanted: str | None, sure: bool = False) -> Decision | None:
    """Find subtitles beside the video; until the wanted language is sure, only those that name none."""
    for sidecar in sidecars:
        if sidecar.language is None or ((wanted or sure) and is_in_language(sidecar.language, wanted)):
            return Decision(Reason.SUBTITLED, printable_name(sidecar.name))
    return None


def _find_track(facts: MediaFacts, wanted: str | None) -> Decision | None:
    for language in facts.subtitles:
        if is_in_language(language, wanted):
            return Decision(Reason.SUBTITLED, f"embedded track, {language or 'no language given'}")
    return None


def _is_long_missing(case: Case, policy: Policy) -> bool:
    since = case.record.missing_since
    return since is not None and case.now - since >= policy.library.settle_s


def _stamp_of(quarantined: Quarantined) -> Stamp:
    return Stamp(quarantined.size_bytes, quarantined.mtime_ns)
