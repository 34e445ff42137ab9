"""What is done with a file of the library, and why: every answer that the watch can give."""

import os
from dataclasses import dataclass
from enum import Enum
from typing import Literal

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
