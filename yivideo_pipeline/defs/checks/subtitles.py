"""Checks of the subtitles: the cues, and the files that hold them."""

from collections.abc import Iterator, Sequence
from math import ceil

import dagster as dg

from yivideo_pipeline.defs.checks.base import Check, Subject, Verdict
from yivideo_pipeline.defs.checks.read_back import read_cues, read_words
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.sections import CheckSettings
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import Cue

ALLOWED_SHARE = {
    "cues_overlapping": 0.0,
    "cues_too_long": 0.0,
    "cues_across_pauses": 0.0,
    "cues_with_long_lines": 0.02,
    "cues_too_fast": 0.1,
    "cues_too_short": 0.1,
    "gaps_too_short": 0.1,
}
"""The share of the cues that may have each fault. Where people speak faster than one can read, or words share
a start, no way of building cues helps; overlapping cues are always an error of ours."""
CLOCK_MS = {SubtitleFormat.ASS: 10, SubtitleFormat.KARAOKE_ASS: 10}
"""The resolution of a format's clock; of the others it is 1 ms."""

_INVISIBLE = str.maketrans({"\u2060": None, "\u200f": None, "｛": "{", "｝": "}"})


def _obey_the_profile(subject: Subject, settings: CheckSettings) -> Verdict:
    quality = subject.document["quality"]
    count = quality["cues"]
    figures = {name: quality[name] for name in ("cues", *ALLOWED_SHARE, "max_chars_per_second")}
    figures["readability"] = quality["score"]
    over = [name for name, share in ALLOWED_SHARE.items() if quality[name] > ceil(share * count)]
    if over:
        faults = ", ".join(_count(quality[name], name) for name in over)
        return Verdict(
            False,
            f"Of {plural(count, 'cue')}: {faults}. Loosen the profile (settings under subtitles) if it asks"
            " for more than the speech allows",
            figures,
        )
    return Verdict(True, f"{plural(count, 'cue')} in keeping with the profile", figures)


def _count(number: int, name: str) -> str:
    """Return `1 cue too fast` for a figure such as `cues_too_fast`."""
    noun, _, fault = name.partition("_")
    return f"{plural(number, noun.removesuffix('s'))} {fault.replace('_', ' ')}"


def _end_within_the_video(subject: Subject, settings: CheckSettings) -> Verdict:
    cues, end_s = subject.cues, subject.end_s
    last_s = max((cue.end_ms for cue in cues), default=0) / 1000
    figures = {"last_cue_end_s": last_s, "video_end_s": end_s}
    if end_s is None or last_s <= end_s:
        return Verdict(True, "No cue is shown after the end of the video", figures)
    late = sum(cue.end_ms > end_s * 1000 for cue in cues)
    return Verdict(
        False,
        f"{late} of {plural(len(cues), 'cue')} end after the video, the last {last_s - end_s:.1f} s after it:"
        " check whether the subtitles are in time, and whether the file is complete",
        figures,
    )


def _read_back(subject: Subject, settings: CheckSettings) -> Verdict:
    transcript, cues = subject.required_transcript, subject.cues
    faults = {
        name: fault
        for name in subject.files
        if (fault := _fault_of(subject.read(name), _kind_of(name), cues, transcript))
    }
    figures = {"files": len(subject.files), "files_at_fault": len(faults), "cues": len(cues)}
    if faults:
        listed = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
        return Verdict(False, f"{listed}. Please report this: the file was written wrongly", figures)
    return Verdict(True, f"{', '.join(subject.files)}: read back as written", figures)


def _fault_of(data: bytes, kind: SubtitleFormat, cues: Sequence[Cue], transcript: Transcript) -> str | None:
    """Return how a file differs from what it was made of; None where it does not."""
    try:
        if kind is SubtitleFormat.TXT:
            return next(_text_faults(data.decode("utf-8"), transcript), None)
        if kind is SubtitleFormat.JSON:
            return next(_word_faults(data, transcript), None)
        return next(_cue_faults(data, kind, cues), None)
    except ValueError as error:
        return str(error)


def _cue_faults(data: bytes, kind: SubtitleFormat, cues: Sequence[Cue]) -> Iterator[str]:
    found, step_ms = read_cues(data, kind), CLOCK_MS.get(kind, 1)
    if len(found) != len(cues):
        yield f"it has {plural(len(found), 'cue')}, not {len(cues)}"
    for number, (read, cue) in enumerate(zip(found, cues, strict=False), 1):
        if max(abs(read.start_ms - cue.start_ms), abs(read.end_ms - cue.end_ms)) > step_ms:
            times, meant = f"{read.start_ms} to {read.end_ms} ms", f"{cue.start_ms} to {cue.end_ms} ms"
            yield f"cue {number} is at {times}, not {meant}"
        if _seen(read.text) != _seen(cue.text):
            yield f"cue {number} reads {read.text!r}, not {cue.text!r}"


def _word_faults(data: bytes, transcript: Transcript) -> Iterator[str]:
    found, words = read_words(data), [word for word in transcript.words if word.text.strip()]
    if len(found) != len(words):
        yield f"it has {plural(len(found), 'word')}, not {len(words)}"
    for number, (read, word) in enumerate(zip(found, words, strict=False), 1):
        if read["word"] != word.text.strip():
            yield f"word {number} is {read['word']!r}, not {word.text.strip()!r}"
        if max(abs(read["start"] - word.start_s), abs(read["end"] - word.end_s)) > 0.001:
            yield f"word {number} is at {read['start']} to {read['end']} s"


def _text_faults(text: str, transcript: Transcript) -> Iterator[str]:
    if "".join(text.split()) != "".join("".join(word.text for word in transcript.words).split()):
        yield "its text differs from the transcript"


def _seen(text: str) -> str:
    """Return text as a viewer sees it: the marks by which our writers escape text are invisible."""
    return text.translate(_INVISIBLE)


def _kind_of(name: str) -> SubtitleFormat:
    return SubtitleFormat(name.rsplit(".", 1)[-1])


SUBTITLES_CHECKS = (
    Check(
        "cues_obey_the_profile",
        "Reading speed, lines, durations and gaps keep to the profile",
        _obey_the_profile,
    ),
    Check(
        "files_read_back",
        "Another program reads from every file the cues, times and text that were meant",
        _read_back,
        dg.AssetCheckSeverity.ERROR,
        blocks=True,
    ),
    Check("cues_end_within_the_video", "No cue is shown after the end of the video", _end_within_the_video),
)
