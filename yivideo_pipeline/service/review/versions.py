"""What the review page asks for and sends."""

import gzip
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.review.video import SOUND, Reviewed, Subtitled, find_subtitles
from yivideo_pipeline.speech.types import WordSource
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.edits import Edit, EditConflict, TimedText
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.delivery import Handover, hand_over
from yivideo_pipeline.subtitles.edited import clean_lines, time_cues
from yivideo_pipeline.subtitles.quality import LOW_CONFIDENCE

MOST_CUES = 100_000
LONGEST_TEXT = 1000
LONGEST_MS = 1000 * 3600 * 1000
GZIP_LEVEL = 4
SMALL_BYTES = 1400
"""One packet: not worth packing."""

Ms = Annotated[int, Field(ge=0, le=LONGEST_MS, description="Milliseconds from the video's start")]
TimedWord = tuple[str, int, int, int, WordSource]
"""Text, start and end in milliseconds, confidence in percent, where the times come from."""


class PlainCue(BaseModel):
    """One cue as it is edited."""

    model_config = ConfigDict(extra="forbid")

    start_ms: Ms
    end_ms: Ms
    text: str = Field(min_length=1, max_length=LONGEST_TEXT, description="Lines, parted by line breaks")


class ShownCue(BaseModel):
    """One cue with its words."""

    start_ms: int
    end_ms: int
    text: str
    words: list[TimedWord]


class Stage(BaseModel):
    """Whether a stage has been made of this video."""

    name: str
    is_made: bool


class Media(BaseModel):
    """The video's file; `is_there` is false where it is gone or was replaced since."""

    is_there: bool
    container: str
    size_bytes: int
    picture: str | None = Field(description="Codec")
    sound: str | None = Field(description="Codec of the stream that was transcribed")


class Sound(BaseModel):
    """The decoded sound, for what a browser can't play; it begins at `offset_ms` of the video."""

    offset_ms: int


class Edited(BaseModel):
    """The version that somebody made by hand."""

    saved_at: str
    by: str
    machine_changed: bool = Field(
        description="The machine's version is another than the one it was made from"
    )


class Limits(BaseModel):
    """What reads well, by the options of the run; going beyond is warned of, not refused."""

    max_chars_per_line: int
    max_chars_per_line_cjk: int
    max_lines: int
    min_duration_s: float
    max_duration_s: float
    max_chars_per_second: float
    max_chars_per_second_cjk: float
    min_gap_ms: int


class Review(BaseModel):
    """All that the page shows of one video. `version` is what a save has to name."""

    key: str
    name: str
    state: Literal["unprocessed", "ready"]
    stages: list[Stage]
    media: Media | None
    sound: Sound | None
    language: str | None = None
    model: str | None = None
    score: float | None = None
    empty_reason: str | None = None
    end_ms: int = 0
    low_confidence_pct: int = round(LOW_CONFIDENCE * 100)
    limits: Limits | None = None
    version: int = 0
    edited: Edited | None = None
    cues: list[ShownCue] = []


class SaveRequest(BaseModel):
    """All cues, in order, and the version that they were made from."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=0, le=10**9)
    cues: list[PlainCue] = Field(max_length=MOST_CUES)


class Saved(BaseModel):
    """What stands now, and the names of the files that say so."""

    version: int
    edited: Edited | None
    files: list[str]
    warnings: list[str]


class Difference(BaseModel):
    """Cues that differ: the machine's, and those that stand in their place."""

    machine: list[PlainCue]
    edited: list[PlainCue]


class Differences(BaseModel):
    """All places where the edited version differs from the machine's, in order."""

    differences: list[Difference]


def review_of(video: Reviewed) -> Review:
    """Put together what the page shows of a video."""
    subtitles = find_subtitles(video)
    audio, transcript = video.made("audio"), video.made("transcript")
    made = {
        "video": video.info,
        "audio": audio,
        "transcript": transcript,
        "alignment": video.made("alignment"),
    }
    made["subtitles"] = subtitles
    offset_ms = round(audio.document["offset_s"] * 1000) if audio else 0
    review = Review(
        key=video.key,
        name=video.path.name.encode("utf-8", "replace").decode(),
        state="ready" if subtitles else "unprocessed",
        stages=[Stage(name=name, is_made=made[name] is not None) for name in STAGES],
        media=_media_of(video, audio.document["stream"]["codec"] if audio else None),
        sound=Sound(offset_ms=offset_ms) if audio and SOUND in audio.files else None,
    )
    return _with_subtitles(review, subtitles) if subtitles else review


def edited_of(subtitles: Subtitled) -> Edited | None:
    """Tell of the version that stands in place of the machine's."""
    edit = subtitles.latest
    if edit is None or edit.cues is None:
        return None
    changed = bool(edit.based_on) and edit.based_on != subtitles.artifact.content
    return Edited(saved_at=edit.saved_at, by=edit.by, machine_changed=changed)


def plain(cues: list[TimedText]) -> list[PlainCue]:
    """Return cues as the API writes them."""
    return [PlainCue.model_construct(**cue._asdict()) for cue in cues]


def packed(answer: BaseModel, request: Request) -> Response:
    """Return JSON, gzipped for whoever takes that: a long transcript has some megabytes."""
    data = answer.model_dump_json().encode()
    headers = {"Vary": "Accept-Encoding", "Cache-Control": "no-store"}
    if "gzip" in request.headers.get("accept-encoding", "") and len(data) > SMALL_BYTES:
        headers["Content-Encoding"] = "gzip"
        data = gzip.compress(data, GZIP_LEVEL)
    return Response(data, media_type="application/json", headers=headers)


def _with_subtitles(review: Review, subtitles: Subtitled) -> Review:
    document = subtitles.artifact.document
    texts = subtitles.machine if subtitles.edited is None else subtitles.edited
    cues = time_cues(texts, subtitles.heard)
    return review.model_copy(
        update={
            "language": subtitles.language,
            "model": subtitles.heard.model,
            "score": document["quality"]["score"],
            "empty_reason": document["empty_reason"],
            "end_ms": subtitles.end_ms,
            "limits": Limits.model_validate(subtitles.options.model_dump(include=set(Limits.model_fields))),
            "version": subtitles.version,
            "edited": edited_of(subtitles),
            "cues": [_shown(cue) for cue in cues],
        }
    )


def _shown(cue: Cue) -> ShownCue:
    words: list[TimedWord] = [
        (
            word.text,
            round(word.start_s * 1000),
            round(word.end_s * 1000),
            round(word.confidence * 100),
            word.source,
        )
        for word in cue.words
    ]
    return ShownCue.model_construct(start_ms=cue.start_ms, end_ms=cue.end_ms, text=cue.text, words=words)


def _media_of(video: Reviewed, sound: str | None) -> Media | None:
    info = video.info
    if info is None:
        return None
    return Media(
        is_there=video.file is not None,
        container=info.container,
        size_bytes=info.size_bytes,
        picture=info.video_stream.codec if info.video_stream else None,
        sound=sound,
    )


# PART service/review/saving.py: Saving what somebody edited: checked, kept as a version, and written to the files beside the video.

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
