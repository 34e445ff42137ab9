"""The versions of a video's subtitles over HTTP: shown with all that the page needs, saved, and compared."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.translations import Said
from yivideo_pipeline.service.review.video import (
    AUDIO_FILE,
    ReviewedSubtitles,
    ReviewedVideo,
    find_subtitles,
)
from yivideo_pipeline.speech.types import WordlessReason, WordSource
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.edits import Edit, EditConflict, EditedCue
from yivideo_pipeline.storage.remote_paths import to_path
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.delivery import DeliveredSubtitles, deliver_subtitles
from yivideo_pipeline.subtitles.edited import clean_lines, time_cues
from yivideo_pipeline.subtitles.quality import LOW_CONFIDENCE
from yivideo_pipeline.subtitles.style_report import StyleReport

log = logging.getLogger(__name__)

MAX_CUES = 100_000
MAX_TEXT = 1000
MAX_MS = 1000 * 3600 * 1000
SHOWN_PROBLEMS = 5

Ms = Annotated[int, Field(ge=0, le=MAX_MS, description="Milliseconds from the video's start")]
TimedWord = tuple[str, int, int, int, WordSource]
"""Text, start and end in milliseconds, confidence in percent, source of the times."""


class PlainCue(BaseModel):
    """One cue as it is edited."""

    model_config = ConfigDict(extra="forbid")

    start_ms: Ms
    end_ms: Ms
    text: str = Field(min_length=1, max_length=MAX_TEXT, description="Lines, separated by line breaks")


class ShownCue(BaseModel):
    """One cue with its words."""

    start_ms: int
    end_ms: int
    text: str
    words: list[TimedWord]


class ReviewStage(BaseModel):
    """Whether a stage of the video is done."""

    name: str
    is_made: bool


class MediaFile(BaseModel):
    """The video's file; `is_there` is false if it is gone or was replaced since it was processed."""

    is_there: bool
    container: str
    size_bytes: int
    picture: str | None = Field(description="Codec")
    sound: str | None = Field(description="Codec of the stream that was transcribed")


class ReviewAudio(BaseModel):
    """The decoded audio, for videos that a browser can't play; it begins at `offset_ms` of the video."""

    offset_ms: int


class EditedVersion(BaseModel):
    """The version that was edited by hand."""

    saved_at: str
    by: str
    machine_changed: bool = Field(
        description="Whether the machine version has changed since the edits were made"
    )


class EditorLimits(BaseModel):
    """The limits of readable cues, from the options of the run; exceeding them causes a warning only."""

    max_chars_per_line: int
    max_chars_per_line_cjk: int
    max_lines: int
    min_duration_s: float
    max_duration_s: float
    max_chars_per_second: float
    max_chars_per_second_cjk: float
    min_gap_ms: int


class Obstacle(BaseModel):
    """Why a video is not made by itself; `reason` is that of the watch, where the watch decided so."""

    reason: str | None = None
    message: Said
    detail: Said = ""


class Review(BaseModel):
    """All that the page shows of one video. `version` has to be named by a request that saves."""

    key: str
    name: str
    state: Literal["unprocessed", "ready"]
    stages: list[ReviewStage]
    media: MediaFile | None
    sound: ReviewAudio | None
    language: str | None = None
    model: str | None = None
    score: float | None = None
    confidence: float | None = None
    empty_reason: Said | None = None
    obstacle: Obstacle | None = Field(None, description="Why there will be no subtitles by themselves")
    end_ms: int = 0
    frame_rate: float | None = Field(None, description="Of the picture, in frames per second")
    speech_spans: list[tuple[int, int]] = Field([], description="Where speech was heard, in milliseconds")
    wordless_spans: list[tuple[int, int, WordlessReason]] = Field(
        [], description="Speech that no word of the machine covers, in milliseconds, and why"
    )
    low_confidence_pct: int = round(LOW_CONFIDENCE * 100)
    limits: EditorLimits | None = None
    style: StyleReport | None = Field(None, description="How the machine's cues keep to their style guide")
    version: int = 0
    edited: EditedVersion | None = None
    cues: list[ShownCue] = []


class SaveRequest(BaseModel):
    """All cues in order, and the version that they were made from."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=0, le=10**9)
    cues: list[PlainCue] = Field(max_length=MAX_CUES)


class SavedVersion(BaseModel):
    """The version that is current now, and the names of the files that were written."""

    version: int
    edited: EditedVersion | None
    files: list[str]
    warnings: list[Said]


class ShownCues(BaseModel):
    """Cues with their words."""

    cues: list[ShownCue]


class Difference(BaseModel):
    """Cues that differ: the machine's, and the edited ones that replace them."""

    machine: list[PlainCue]
    edited: list[PlainCue]


class Differences(BaseModel):
    """All places where the edited version differs from the machine's, in order."""

    differences: list[Difference]


def review_of(video: ReviewedVideo) -> Review:
    """Return all that the page shows of a video."""
    subtitles = find_subtitles(video)
    audio = video.artifact("audio")
    is_made = {stage: video.artifact(stage) is not None for stage in STAGES}
    is_made["subtitles"] = subtitles is not None
    offset_ms = round(audio.document["offset_s"] * 1000) if audio else 0
    review = Review(
        key=video.key,
        name=video.path.name.encode("utf-8", "replace").decode(),
        state="ready" if subtitles else "unprocessed",
        stages=[ReviewStage(name=name, is_made=is_made[name]) for name in STAGES],
        media=_media_of(video, audio.document["stream"]["codec"] if audio else None),
        sound=ReviewAudio(offset_ms=offset_ms) if audio and AUDIO_FILE in audio.files else None,
    )
    return _with_subtitles(review, subtitles) if subtitles else review


def check_cues(cues: Sequence[PlainCue], end_ms: int) -> list[EditedCue]:
    """Return cues as they are saved: with clean text, and checked for order and times.

    Args:
        cues: The cues of the request.
        end_ms: The end of the video.

    Raises:
        Refused: 422 with the first problems.
    """
    clean = [EditedCue(cue.start_ms, cue.end_ms, clean_lines(cue.text)) for cue in cues]
    problems = list(_problems_of(clean, end_ms))
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        message = "; ".join(problems[:SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        raise Refused(422, "invalid_cues", message, "Correct these cues and save again")
    return clean


def save(subtitles: ReviewedSubtitles, cues: Sequence[EditedCue] | None, over: int, by: str) -> SavedVersion:
    """Save a version, and write the delivered files anew.

    Args:
        subtitles: The subtitles that were edited.
        cues: As `check_cues` returns them; None restores the machine version.
        over: The version that the user has edited.
        by: The client's address.

    Raises:
        Refused: 409 if another version was saved in the meantime.
    """
    artifact = subtitles.artifact
    try:
        edit = subtitles.edits.save(
            artifact.video_hash, subtitles.language, cues, over=over, by=by, based_on=artifact.content
        )
    except EditConflict as conflict:
        raise _refuse_conflict(conflict.current) from conflict
    handed, warnings = _deliver(subtitles)
    files = [delivered.path for one in handed for delivered in one.files]
    warnings += [line for one in handed for delivered in one.files for line in delivered.warnings]
    names = [path.name.encode("utf-8", "replace").decode() for path in files]
    edited = _edited_version(replace(subtitles))  # a copy reads the edits anew
    return SavedVersion(
        version=edit.version, edited=edited, files=names, warnings=list(dict.fromkeys(warnings))
    )


def show_cues(subtitles: ReviewedSubtitles, cues: Sequence[EditedCue]) -> ShownCues:
    """Return cues with their words: those of the transcript where it has them."""
    return ShownCues(cues=[_shown_cue(cue) for cue in time_cues(cues, subtitles.transcript)])


def find_differences(subtitles: ReviewedSubtitles) -> list[Difference]:
    """Return where the edited version differs from the machine's."""
    machine, edited = subtitles.machine, subtitles.edited
    if edited is None:
        return []
    steps = SequenceMatcher(None, machine, edited, autojunk=False).get_opcodes()
    return [
        Difference(machine=_plain_cues(machine[a:b]), edited=_plain_cues(edited[c:d]))
        for tag, a, b, c, d in steps
        if tag != "equal"
    ]


def _edited_version(subtitles: ReviewedSubtitles) -> EditedVersion | None:
    """Describe the edited version; None while the machine version is current."""
    edit = subtitles.latest
    if edit is None or edit.cues is None:
        return None
    changed = bool(edit.based_on) and edit.based_on != subtitles.artifact.content
    return EditedVersion(saved_at=edit.saved_at, by=edit.by, machine_changed=changed)


def _plain_cues(cues: Sequence[EditedCue]) -> list[PlainCue]:
    # Without validation: the machine may make longer texts than a user may send.
    return [PlainCue.model_construct(**cue._asdict()) for cue in cues]


def _with_subtitles(review: Review, subtitles: ReviewedSubtitles) -> Review:
    document = subtitles.artifact.document
    texts = subtitles.machine if subtitles.edited is None else subtitles.edited
    picture = subtitles.video.info.video_stream if subtitles.video.info else None
    limits = subtitles.options.model_dump(include=set(EditorLimits.model_fields))
    style = StyleReport.model_validate(document["style"]) if "style" in document else None
    if style:  # a guide's gap is two frames, whatever the frame rate
        limits["min_gap_ms"] = style.gap_ms
    return review.model_copy(
        update={
            "language": subtitles.language,
            "model": subtitles.transcript.model,
            "score": document["quality"]["score"] if document["quality"]["cues"] else None,
            "confidence": document["quality"]["mean_confidence"],
            "empty_reason": document["empty_reason"],
            "end_ms": subtitles.end_ms,
            "frame_rate": picture.frame_rate if picture else None,
            "limits": EditorLimits.model_validate(limits),
            "style": style,
            "version": subtitles.version,
            "edited": _edited_version(subtitles),
            "speech_spans": [
                (round(span.start_s * 1000), round(span.end_s * 1000))
                for span in subtitles.transcript.speech_spans
            ],
            "wordless_spans": [
                (round(span.start_s * 1000), round(span.end_s * 1000), span.reason)
                for span in subtitles.transcript.wordless_spans
            ],
            "cues": show_cues(subtitles, texts).cues,
        }
    )


def _shown_cue(cue: Cue) -> ShownCue:
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


def _media_of(video: ReviewedVideo, audio_codec: str | None) -> MediaFile | None:
    info = video.info
    if info is None:
        return None
    return MediaFile(
        is_there=video.file is not None,
        container=info.container,
        size_bytes=info.size_bytes,
        picture=info.video_stream.codec if info.video_stream else None,
        sound=audio_codec,
    )


def _problems_of(cues: Sequence[EditedCue], end_ms: int) -> Iterator[str]:
    for number, cue in enumerate(cues, 1):
        if not cue.text:
            yield f"Cue {number} has no text; delete it instead"
        if cue.start_ms >= cue.end_ms:
            yield f"Cue {number} ends before it starts"
        if cue.end_ms > end_ms:
            yield f"Cue {number} ends after the end of the video"
    for number, (cue, following) in enumerate(pairwise(cues), 1):
        if following.start_ms < cue.end_ms:
            yield f"Cue {number + 1} starts before cue {number} ends"


def _deliver(subtitles: ReviewedSubtitles) -> tuple[list[DeliveredSubtitles], list[str]]:
    """Write the files to all folders of earlier deliveries; a file that can't be written is a warning."""
    video = subtitles.video
    handed, warnings = [], []
    for folder in video.storage.delivery_folders(video.key) or [""]:
        if not (to_path(folder) if folder else video.path.parent).is_dir():
            continue  # the user has removed the folder and the files in it
        try:
            handed.append(
                deliver_subtitles(
                    video.storage, subtitles.artifact, subtitles.transcript, video.key, video.path, folder
                )
            )
        except YivideoError as error:
            log.warning("The edited subtitles of %s are saved, but not delivered: %s", video.key, error)
            warnings.append(f"The version is saved, but a file could not be written: {error.message}")
    return handed, warnings


def _refuse_conflict(current: Edit | None) -> Refused:
    now = f"version {current.version}, saved at {current.saved_at}" if current else "none"
    return Refused(
        409,
        "edit_conflict",
        f"Another version was saved in the meantime: {now}",
        "Load that version, or overwrite it with yours",
    )
