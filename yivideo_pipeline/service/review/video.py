"""One video as it is reviewed: the artifacts of its stages, its file, and its subtitles."""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.library.ignore import own_folders, rules_of_roots
from yivideo_pipeline.media.probe import MediaInfo
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.edits import Edit, EditedCue, Edits
from yivideo_pipeline.storage.partition_keys import is_outside, path_of, place_of
from yivideo_pipeline.storage.remote_paths import AnyPath, read_stamp
from yivideo_pipeline.subtitles.cues import build_cues

AUDIO_FILE = "audio.wav"

_WEB_CODECS = {"vp8", "vp9", "av1", "opus", "vorbis"}
_MEDIA_TYPES = {
    "mov": "mp4", "mpegts": "mp2t", "avi": "x-msvideo", "asf": "x-ms-wmv", "flv": "x-flv", "mpeg": "mpeg",
    "ogg": "ogg",
}  # fmt: skip


@dataclass(frozen=True)
class ReviewedVideo:
    """One video; its artifacts are read when they are asked for.

    Attributes:
        key: Its partition key.
        path: Where its file is, or was.
        storage: Keeps its artifacts and edits.
        options: The subtitle options of artifacts that hold none, since an older version made them.
    """

    key: str
    path: AnyPath
    storage: Storage
    options: SubtitleOptions
    _artifacts: dict[str, Artifact | None] = field(default_factory=dict)

    def artifact(self, stage: str) -> Artifact | None:
        """Return the last artifact of a stage."""
        if stage not in self._artifacts:
            self._artifacts[stage] = self.storage.find_latest(self.key, stage)
        return self._artifacts[stage]

    @cached_property
    def info(self) -> MediaInfo | None:
        """The contents of the file; None if no run has inspected it yet."""
        video = self.artifact("video")
        return MediaInfo.model_validate(video.document) if video else None

    @cached_property
    def file(self) -> "AnyPath | None":
        """The video's file or object; None if it is gone, or is not the one that was processed."""
        try:
            is_it = self.info is not None and read_stamp(self.path)[0] == self.info.size_bytes
        except FileNotFoundError:
            return None
        return self.path if is_it and self.path.is_file() else None


@dataclass(frozen=True)
class ReviewedSubtitles:
    """The subtitles of one video: the machine version, and the version that was edited by hand."""

    video: ReviewedVideo
    artifact: Artifact
    transcript: Transcript

    @property
    def language(self) -> str:
        """The language of the text."""
        return self.artifact.document["language"]

    @property
    def options(self) -> SubtitleOptions:
        """The options by which words became cues."""
        noted = self.artifact.document.get("options")
        if not noted:
            return self.video.options
        # A newer version of the program may have noted more.
        return SubtitleOptions.model_validate(
            {name: value for name, value in noted.items() if name in SubtitleOptions.model_fields}
        )

    @cached_property
    def machine(self) -> tuple[EditedCue, ...]:
        """The cues of the machine version."""
        noted = self.artifact.document.get("cues")
        if noted is None:  # an older version of the pipeline kept no cues
            return _build_cues(self.transcript, self.options, self.artifact.document.get("end_s"))
        return tuple(EditedCue(*cue) for cue in noted)

    @cached_property
    def latest(self) -> Edit | None:
        """The version that was saved last, if any was."""
        return self.edits.latest(self.artifact.video_hash, self.language)

    @property
    def edits(self) -> Edits:
        """Keeps the edited versions."""
        return Edits(self.video.storage)

    @property
    def edited(self) -> tuple[EditedCue, ...] | None:
        """The edited cues, which replace the machine's; None while the machine version is current."""
        return self.latest.cues if self.latest else None

    @property
    def version(self) -> int:
        """The number of the version that was saved last; 0 if none was."""
        return self.latest.version if self.latest else 0

    @property
    def end_ms(self) -> int:
        """The end of the video; the machine's last cue may end a little later."""
        info = self.video.info
        length_s = max(self.transcript.duration_s, (info.duration_s if info else None) or 0.0)
        return max(round(length_s * 1000), *(cue.end_ms for cue in self.machine[-1:]), 0)


def find_video(key: str, storage: Storage, settings: Settings) -> ReviewedVideo:
    """Return a video by its partition key: one that a run has inspected, or one of the library.

    Raises:
        Refused: 404 for any other name.
    """
    unknown = Refused(404, "not_found", "There is no such video", "The library lists all videos")
    try:
        path = path_of(key, settings.library.roots)
    except (ValueError, ConfigError) as error:
        raise unknown from error
    video = ReviewedVideo(key, path, storage, settings.subtitles)
    if video.info is None and not _is_in_library(key, path, settings):
        raise unknown
    return video


def find_subtitles(video: ReviewedVideo) -> ReviewedSubtitles | None:
    """Return the subtitles of a video; None while there are none of its present content."""
    subtitles, alignment = video.artifact("subtitles"), video.artifact("alignment")
    if subtitles is None or alignment is None or subtitles.video_hash != alignment.video_hash:
        return None
    return ReviewedSubtitles(video, subtitles, Transcript.model_validate(alignment.document))


def require_subtitles(video: ReviewedVideo) -> ReviewedSubtitles:
    """Return the subtitles of a video.

    Raises:
        Refused: 409 while there are none.
    """
    subtitles = find_subtitles(video)
    if subtitles is None:
        raise Refused(409, "not_processed", "The video has no subtitles yet", "Wait for its run")
    return subtitles


def media_type_of(info: MediaInfo) -> str:
    """Return the media type of a video by its contents, whatever its file name says."""
    container = info.container.split(",")[0]
    kind = "video" if info.video_stream else "audio"
    if container == "matroska":
        codecs = {stream.codec for stream in info.streams if stream.kind in ("video", "audio")}
        return f"{kind}/webm" if codecs <= _WEB_CODECS else f"{kind}/x-matroska"
    return f"{kind}/{_MEDIA_TYPES[container]}" if container in _MEDIA_TYPES else "application/octet-stream"


def _is_in_library(key: str, path: AnyPath, settings: Settings) -> bool:
    if is_outside(key) or "\0" in str(path) or not path.is_file():
        return False
    root, below = place_of(key, settings.library.roots)
    folder = settings.library.roots[root]
    is_local = isinstance(path, Path) and isinstance(folder, Path)
    inside = path.resolve().is_relative_to(folder.resolve()) if is_local else True  # buckets have no links
    rules = rules_of_roots(settings.library, own_folders(settings))[root]
    return inside and rules.is_video(path.name) and rules.check_path(below.as_posix()) is None


@lru_cache(maxsize=4)
def _build_cues(
    transcript: Transcript, options: SubtitleOptions, end_s: float | None
) -> tuple[EditedCue, ...]:
    cues = build_cues(transcript, options, end_s)
    return tuple(EditedCue(cue.start_ms, cue.end_ms, cue.text) for cue in cues)
