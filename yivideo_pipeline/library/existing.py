"""What a video already has: subtitle files beside it, and the tracks inside it.

Subtitle files are found as players find them: `talk.srt`, `talk.en.srt`, `talk.eng.sdh.srt`,
`talk.zh-Hans.ass` and `talk.mp4.en.srt` all belong to `talk.mp4`. Files and tracks that are marked as forced
subtitles or as a commentary do not count: they hold only part of what is said.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from pydantic import BaseModel, ConfigDict

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import MediaError, NoAudioStream
from yivideo_pipeline.media.probe import MediaInfo, StreamInfo, choose_audio_stream, probe
from yivideo_pipeline.settings.languages import (
    LANGUAGES,
    find_language,
    find_zh_script,
    normalize_language,
)
from yivideo_pipeline.storage.remote_paths import AnyPath

_ENDINGS = (".srt", ".vtt", ".ass", ".ssa", ".ttml", ".dfxp", ".smi", ".sbv")
_PARTIAL_TAGS = {"forced", "foreign", "signs", "commentary", "comment", "comments"}
_PARTIAL_TITLES = ("forced", "signs")
_HEARING_IMPAIRED = "hi"
_CLOSED_CAPTIONS = "cc"
_TAG = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{2,8})*", re.I)

_TEXT_CODECS = {
    "subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text", "ttml", "stl", "microdvd", "sami",
    "subviewer", "subviewer1", "jacosub", "mpl2", "realtext", "vplayer", "pjs", "hdmv_text_subtitle",
    "eia_608",
}  # fmt: skip
"""Subtitles that hold text; the others (PGS, DVD, DVB, XSUB) hold pictures of it."""


@dataclass(frozen=True)
class Sidecar:
    """A subtitle file beside a video.

    `language` is its code, for Chinese with the script that the name gives (`zh-Hans`, `zh-Hant`); None where
    the name gives no language.
    """

    name: str
    language: str | None


class Folder:
    """The names in one folder.

    Args:
        names: Names of all files in it.
        is_video: Whether a name is that of a video.
    """

    def __init__(self, names: Iterable[str], is_video: Callable[[str], bool]) -> None:
        self._names = tuple(names)
        self._is_video = is_video

    def sidecars_of(self, video: str) -> list[Sidecar]:
        """Return the complete subtitles of a video in this folder."""
        stem = _stem(video)
        first = bisect_left(self._subtitles, f"{stem}.")
        found = []
        for name in self._subtitles[first:]:
            if not name.startswith(f"{stem}."):
                break
            tags = _stem(name)[len(stem) :].strip(".").split(".")
            if not self._is_of_longer_name(stem, tags) and _PARTIAL_TAGS.isdisjoint(map(str.lower, tags)):
                found.append(Sidecar(name, _language_of(tags)))
        return found

    def _is_of_longer_name(self, stem: str, tags: list[str]) -> bool:
        """Return whether `talk.en.srt` belongs to another video here, named `talk.en.mkv`."""
        longer = stem
        for tag in tags:
            longer = f"{longer}.{tag}"
            if longer in self._stems:
                return True
        return False

    @cached_property
    def _subtitles(self) -> list[str]:
        return sorted(name for name in self._names if name.lower().endswith(_ENDINGS))

    @cached_property
    def _stems(self) -> set[str]:
        return {_stem(name) for name in self._names if self._is_video(name)}


class MediaFacts(BaseModel):
    """What the watch has to know of a file's inside; it is read once for each state of the file.

    Attributes:
        trouble: Why the file can't be opened as media. None where it can; only then the others hold.
        duration_s: The length that the container declares.
        has_sound: Whether there is an audio track.
        language: The language tag of the track that is transcribed where no language is asked for.
        subtitles: The language tag of each complete text track; "" for a track without one.
    """

    model_config = ConfigDict(frozen=True)

    trouble: str | None = None
    duration_s: float | None = None
    has_sound: bool = False
    language: str | None = None
    subtitles: tuple[str, ...] = ()


def read_facts(path: AnyPath) -> MediaFacts:
    """Open a file and return its facts; damaged media is a finding, not an error.

    Raises:
        YivideoError: Something other than the media is in the way and may be gone another time.
    """
    try:
        return facts_of(probe(path))
    except Exception as error:  # whatever is wrong with one file must not stop the scan of the others
        known = classify(error)
        if isinstance(known, MediaError):
            return MediaFacts(trouble=known.message)
        raise known from error


def facts_of(info: MediaInfo) -> MediaFacts:
    """Return the facts of a probed file."""
    try:
        language = choose_audio_stream(info, "auto").language
    except NoAudioStream:
        language = None
    return MediaFacts(
        duration_s=info.duration_s,
        has_sound=bool(info.audio_streams),
        language=language,
        subtitles=tuple(stream.language or "" for stream in _text_tracks(info.streams)),
    )


def is_in_language(language: str | None, wanted: str | None) -> bool:
    """Return whether subtitles are in the wanted language; where either is unknown they may be.

    Chinese in the other script is not, if both tags name their script.
    """
    if not language or not wanted:
        return True
    script, wanted_script = find_zh_script(language), find_zh_script(wanted)
    if script and wanted_script and script.is_traditional is not wanted_script.is_traditional:
        return False
    return normalize_language(language) == normalize_language(wanted)


def _text_tracks(streams: Iterable[StreamInfo]) -> list[StreamInfo]:
    return [
        stream
        for stream in streams
        if stream.kind == "subtitle"
        and stream.codec in _TEXT_CODECS
        and not (stream.forced or stream.is_side_track)
        and not any(word in (stream.title or "").lower() for word in _PARTIAL_TITLES)
    ]


def _language_of(tags: list[str]) -> str | None:
    languages = [code for tag in tags if (code := _code_of(tag))]
    others = [code for code in languages if code != _HEARING_IMPAIRED]
    return (others or languages or [None])[-1]  # `talk.en.hi.srt` is English for the hard of hearing


def _code_of(tag: str) -> str | None:
    code = normalize_language(tag)
    if script := find_zh_script(tag):
        return f"{code}-Hant" if script.is_traditional else f"{code}-Hans"
    # Any tag of two letters counts as a code (ISO 639-1) but this one; longer tags only if they are known.
    if _TAG.fullmatch(tag) and (code in LANGUAGES or (len(code) == 2 and code != _CLOSED_CAPTIONS)):
        return code
    return find_language(tag)


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name
