"""Saving what somebody edited: checked, kept as a version, and written to the files beside the video."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.review.versions import Difference, PlainCue, Saved, edited_of, plain
from yivideo_pipeline.service.review.video import Subtitled
from yivideo_pipeline.storage.edits import Edit, EditConflict, TimedText
from yivideo_pipeline.subtitles.delivery import Handover, hand_over
from yivideo_pipeline.subtitles.edited import clean_lines

log = logging.getLogger(__name__)

SHOWN_PROBLEMS = 5


def check_cues(cues: Sequence[PlainCue], end_ms: int) -> list[TimedText]:
    """Return cues as they are kept: their text clean, their order and times right.

    Args:
        cues: As they were sent.
        end_ms: Where the video ends.

    Raises:
        Refused: 422 with the first of what is wrong.
    """
    clean = [TimedText(cue.start_ms, cue.end_ms, clean_lines(cue.text)) for cue in cues]
    problems = list(_problems(clean, end_ms))
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        told = "; ".join(problems[:SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        raise Refused(422, "invalid_cues", told, "Correct these cues and save again")
    return clean


def save(subtitles: Subtitled, cues: Sequence[TimedText] | None, over: int, by: str) -> Saved:
    """Keep a version, and write the delivered files anew.

    Args:
        subtitles: Whose.
        cues: As `check_cues` returns them; None goes back to the machine's.
        over: The version that the person had before them.
        by: From where it is saved.

    Raises:
        Refused: 409 where somebody saved in between.
    """
    artifact = subtitles.artifact
    try:
        edit = subtitles.edits.save(
            artifact.video_hash, subtitles.language, cues, over=over, by=by, based_on=artifact.content
        )
    except EditConflict as conflict:
        raise _in_plain_words(conflict.current) from conflict
    handed, warnings = _deliver(subtitles)
    files = [delivered.path for one in handed for delivered in one.files]
    warnings += [line for one in handed for delivered in one.files for line in delivered.warnings]
    names = [path.name.encode("utf-8", "replace").decode() for path in files]
    standing = edited_of(replace(subtitles))  # read anew
    return Saved(version=edit.version, edited=standing, files=names, warnings=list(dict.fromkeys(warnings)))


def differences(subtitles: Subtitled) -> list[Difference]:
    """Return where the edited version differs from the machine's."""
    machine, edited = subtitles.machine, subtitles.edited
    if edited is None:
        return []
    steps = SequenceMatcher(None, machine, edited, autojunk=False).get_opcodes()
    return [
        Difference(machine=plain(list(machine[a:b])), edited=plain(list(edited[c:d])))
        for tag, a, b, c, d in steps
        if tag != "equal"
    ]


def _problems(cues: Sequence[TimedText], end_ms: int) -> Iterator[str]:
    for number, cue in enumerate(cues, 1):
        if not cue.text:
            yield f"Cue {number} has no text: delete it instead"
        if cue.start_ms >= cue.end_ms:
            yield f"Cue {number} ends before it starts"
        if cue.end_ms > end_ms:
            yield f"Cue {number} goes beyond the end of the video"
    for number, (cue, following) in enumerate(pairwise(cues), 1):
        if following.start_ms < cue.end_ms:
            yield f"Cue {number + 1} starts before cue {number} ends"


def _deliver(subtitles: Subtitled) -> tuple[list[Handover], list[str]]:
    """Write the files wherever they were delivered to; what can't be written is told, the version is kept."""
    video = subtitles.video
    handed, warnings = [], []
    for folder in video.storage.places(video.key) or [""]:
        if not (Path(folder) if folder else video.path.parent).is_dir():
            continue  # somebody took it away, with the files in it
        try:
            handed.append(
                hand_over(video.storage, subtitles.artifact, subtitles.heard, video.key, video.path, folder)
            )
        except YivideoError as error:
            log.warning("The edited subtitles of %s are kept, but not delivered: %s", video.key, error)
            warnings.append(f"It is saved, but a file could not be written: {error.message}")
    return handed, warnings


def _in_plain_words(current: Edit | None) -> Refused:
    now = f"version {current.version}, saved at {current.saved_at}" if current else "none"
    return Refused(
        409, "edit_conflict", f"Somebody saved in between: {now}", "Look at theirs, or save yours over it"
    )
