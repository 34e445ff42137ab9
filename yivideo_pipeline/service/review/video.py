"""One video as it can be reviewed: what the stages made of it, and its files."""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from yivideo_pipeline.library.ignore import own_folders, rules_of_roots
from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.settings.options import SubtitleOptions
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.edits import Edit, Edits, TimedText
from yivideo_pipeline.storage.partition_keys import path_of, place_of
from yivideo_pipeline.subtitles.cues import build_cues

SOUND = "audio.wav"


@dataclass(frozen=True)
class Reviewed:
    """What is known of one video; each part is read when it is asked for."""

    key: str
    path: Path
    storage: Storage
    settings: Settings
    _seen: dict[str, Artifact | None] = field(default_factory=dict)

    def made(self, stage: str) -> Artifact | None:
        """Return what a stage made last."""
        if stage not in self._seen:
            self._seen[stage] = self.storage.recall(self.key, stage)
        return self._seen[stage]

    @cached_property
    def info(self) -> MediaInfo | None:
        """What the file holds; None where no run has looked yet."""
        video = self.made("video")
        return MediaInfo.model_validate(video.document) if video else None

    @cached_property
    def file(self) -> Path | None:
        """The video's file; None where it is gone, or is not the one that was processed."""
        if self.info is None or not self.path.is_file():
            return None
        return self.path if self.path.stat().st_size == self.info.size_bytes else None


@dataclass(frozen=True)
class Subtitled:
    """The subtitles of one video: the machine's, and what somebody made of them by hand."""

    video: Reviewed
    artifact: Artifact
    heard: Transcript

    @property
    def language(self) -> str:
        """The language of the text."""
        return self.artifact.document["language"]

    @property
    def options(self) -> SubtitleOptions:
        """By which words became cues; of older runs nobody noted it, and the settings stand in."""
        told = self.artifact.document.get("options")
        return SubtitleOptions.model_validate(told) if told else self.video.settings.subtitles

    @cached_property
    def machine(self) -> tuple[TimedText, ...]:
        """The machine's cues."""
        told = self.artifact.document.get("cues")
        return _cut(self.heard, self.options) if told is None else tuple(TimedText(*cue) for cue in told)

    @cached_property
    def latest(self) -> Edit | None:
        """What was saved last by hand, if anything ever was."""
        return self.edits.latest(self.artifact.video_hash, self.language)

    @property
    def edits(self) -> Edits:
        """Where edited versions are kept."""
        return Edits(self.video.storage)

    @property
    def edited(self) -> tuple[TimedText, ...] | None:
        """The cues that stand in place of the machine's; None where the machine's do."""
        return self.latest.cues if self.latest else None

    @property
    def version(self) -> int:
        """The number of the version saved last; 0 where none was."""
        return self.latest.version if self.latest else 0

    @property
    def end_ms(self) -> int:
        """Where the video ends; the machine shows its last words a little beyond it sometimes."""
        info = self.video.info
        length_s = max(self.heard.duration_s, (info.duration_s if info else None) or 0.0)
        return max(round(length_s * 1000), *(cue.end_ms for cue in self.machine[-1:]), 0)


def find_video(key: str, storage: Storage, settings: Settings) -> Reviewed:
    """Return a video by its partition key: one that a run has seen, or one of the library.

    Raises:
        Refused: 404 for any other name.
    """
    unknown = Refused(404, "not_found", "There is no such video", "The library lists those there are")
    try:
        path = path_of(key, settings.library.roots)
    except ValueError as error:
        raise unknown from error
    video = Reviewed(key, path, storage, settings)
    if video.info is None and not _waits_in_library(key, path, settings):
        raise unknown
    return video


def find_subtitles(video: Reviewed) -> Subtitled | None:
    """Return the subtitles of a video; None as long as there are none of its present content."""
    artifact, timed = video.made("subtitles"), video.made("alignment")
    if artifact is None or timed is None or artifact.video_hash != timed.video_hash:
        return None
    return Subtitled(video, artifact, Transcript.model_validate(timed.document))


def require_subtitles(video: Reviewed) -> Subtitled:
    """Return the subtitles of a video.

    Raises:
        Refused: 409 as long as there are none.
    """
    subtitles = find_subtitles(video)
    if subtitles is None:
        raise Refused(409, "not_processed", "There are no subtitles of this video yet", "Wait for its run")
    return subtitles


def _waits_in_library(key: str, path: Path, settings: Settings) -> bool:
    if key.startswith("/") or "\0" in str(path) or not path.is_file():
        return False
    root, below = place_of(key, settings.library.roots)
    inside = path.resolve().is_relative_to(settings.library.roots[root].resolve())
    rules = rules_of_roots(settings.library, own_folders(settings))[root]
    return inside and rules.is_video(path.name) and rules.check_path(below.as_posix()) is None


@lru_cache(maxsize=4)
def _cut(heard: Transcript, options: SubtitleOptions) -> tuple[TimedText, ...]:
    return tuple(TimedText(cue.start_ms, cue.end_ms, cue.text) for cue in build_cues(heard, options))
