"""Reads SubRip, WebVTT and ASS files that were corrected elsewhere into cues that can be edited here."""

import html
import re
from collections.abc import Iterator
from itertools import pairwise

from pysubs2 import SSAEvent, SSAFile
from pysubs2.exceptions import Pysubs2Error
from pysubs2.formats import autodetect_format

from yivideo_pipeline.storage.edits import EditedCue
from yivideo_pipeline.subtitles.edited import clean_lines
from yivideo_pipeline.subtitles.writers import WORD_JOINER

MIN_MS = 100
"""What is left of a cue that another one overlaps; less is nothing that can be read."""
_ASS_TAGS = re.compile(r"\{\\[^}]*\}")
_OPEN, _CLOSE = "\ue000", "\ue001"
"""Stand for braces while pysubs2 removes what is in others; nothing in use has these private characters."""
_FORMATS = {"srt", "vtt", "ass", "ssa"}
_OLD_ENCODINGS = {"zh": "gb18030", "ja": "cp932", "ko": "cp949", "ru": "cp1251"}
"""How programs wrote files before UTF-8, by language; elsewhere Windows' western European encoding."""


def read_cues(data: bytes, language: str, end_ms: int) -> tuple[list[EditedCue], list[str]]:
    """Return the cues of a subtitle file in order, none of which overlap, and what was changed for that.

    Args:
        data: The file.
        language: Of its text, which tells how an old file is encoded.
        end_ms: The end of the video; what lies after it is left out.

    Raises:
        ValueError: The file is none of these formats, or has no cue.
    """
    events = _parse(_decode(data, language))
    found = sorted(filter(None, map(_cue_of, events)), key=lambda cue: (cue.start_ms, cue.end_ms))
    if not found:
        raise ValueError("The file has no cues")
    inside = [
        cue._replace(end_ms=min(cue.end_ms, end_ms)) for cue in found if cue.start_ms <= end_ms - MIN_MS
    ]
    joined = list(_join_simultaneous(inside))
    cut = sum(cue.end_ms > following.start_ms for cue, following in pairwise(joined))
    cues = [
        cue._replace(end_ms=min(cue.end_ms, following.start_ms)) for cue, following in pairwise(joined)
    ] + joined[-1:]
    outside = len(found) - len(inside)
    notes = [
        f"{count} {what}"
        for count, what in (
            (outside, "cues after the end of the video are left out"),
            (len(inside) - len(joined), "cues were joined with others at the same time"),
            (cut, "cues that overlapped the next one end earlier"),
        )
        if count
    ]
    return cues, notes


def _decode(data: bytes, language: str) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode(_OLD_ENCODINGS.get(language.partition("-")[0], "cp1252"), "replace")


def _parse(text: str) -> Iterator[SSAEvent]:
    try:
        kind = autodetect_format(text)
        if kind not in _FORMATS:
            raise ValueError("The file is not SRT, VTT or ASS")
        file = SSAFile.from_string(text, format_=kind)
    except Pysubs2Error as error:
        raise ValueError("The file is not SRT, VTT or ASS") from error
    for event in file:
        if event.is_comment or event.is_drawing:
            continue
        if kind in ("srt", "vtt"):  # braces are text there, unless they hold what only ASS knows
            event.text = _ASS_TAGS.sub("", event.text).replace("{", _OPEN).replace("}", _CLOSE)
        if kind == "vtt":
            event.text = html.unescape(event.text)
        yield event


def _cue_of(event: SSAEvent) -> EditedCue | None:
    """Return an event as a cue; None if it has no text, or is over before it can be seen."""
    plain = event.plaintext.replace(_OPEN, "{").replace(_CLOSE, "}").replace(WORD_JOINER, "")
    text = clean_lines(plain)
    start_ms, end_ms = max(0, event.start), event.end
    return EditedCue(start_ms, end_ms, text) if text and end_ms > start_ms else None


def _join_simultaneous(cues: list[EditedCue]) -> Iterator[EditedCue]:
    """Yield the cues; those that start together, or almost, become one with the lines of both."""
    held: EditedCue | None = None
    for cue in cues:
        if held and cue.start_ms - held.start_ms < MIN_MS:
            text = held.text if cue.text == held.text else f"{held.text}\n{cue.text}"
            held = EditedCue(held.start_ms, max(held.end_ms, cue.end_ms), text)
            continue
        if held:
            yield held
        held = cue
    if held:
        yield held
