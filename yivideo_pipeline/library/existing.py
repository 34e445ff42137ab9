"""Subtitles that are there already: files beside a video, in the manner that players look for them.

`talk.srt`, `talk.en.srt`, `talk.eng.sdh.srt`, `talk.zh-Hans.ass` and `talk.mp4.en.srt` all belong to
`talk.mp4`. Parts that mark forced subtitles or a commentary make a file not count: it does not hold all
that is said.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from yivideo_pipeline.media.languages import normalize_language
from yivideo_pipeline.settings.languages import LANGUAGES, find_language

_ENDINGS = (".srt", ".vtt", ".ass", ".ssa", ".ttml", ".dfxp", ".smi", ".sbv")
_PARTIAL_TAGS = {"forced", "foreign", "signs", "commentary", "comment", "comments"}
_HEARING_IMPAIRED = "hi"
_CLOSED_CAPTIONS = "cc"
_TAG = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{2,8})*", re.I)


@dataclass(frozen=True)
class Sidecar:
    """A subtitle file beside a video; `language` is None where its name does not say it."""

    name: str
    language: str | None


class Folder:
    """The names in one folder.

    Args:
        names: Names of all files in it.
        is_video: Whether a name is one of a video.
    """

    def __init__(self, names: Iterable[str], is_video: Callable[[str], bool]) -> None:
        self._names = tuple(names)
        self._is_video = is_video

    def sidecars_of(self, video: str) -> list[Sidecar]:
        """Return the subtitles of a video in this folder that hold all that is said in it."""
        stem = _stem(video)
        first = bisect_left(self._subtitles, f"{stem}.")
        found = []
        for name in self._subtitles[first:]:
            if not name.startswith(f"{stem}."):
                break
            tags = _stem(name)[len(stem) :].strip(".").split(".")
            if not self._is_of_longer_name(stem, tags) and _PARTIAL_TAGS.isdisjoint(map(str.lower, tags)):
                found.append(Sidecar(name, _language(tags)))
        return found

    def _is_of_longer_name(self, stem: str, tags: list[str]) -> bool:
        """Whether `talk.en.srt` belongs to another video here, named `talk.en.mkv`."""
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


def speaks(language: str | None, wanted: str | None) -> bool:
    """Whether subtitles are in the wanted language; what is not known of either may be any."""
    return not language or not wanted or normalize_language(language) == normalize_language(wanted)


def _language(tags: list[str]) -> str | None:
    languages = [code for tag in tags if (code := _code(tag))]
    others = [code for code in languages if code != _HEARING_IMPAIRED]
    return (others or languages or [None])[-1]  # `talk.en.hi.srt` is English for the hard of hearing


def _code(tag: str) -> str | None:
    code = normalize_language(tag)
    # All words of two letters are codes (ISO 639-1) but this one; of longer ones only those that are known.
    if _TAG.fullmatch(tag) and (code in LANGUAGES or (len(code) == 2 and code != _CLOSED_CAPTIONS)):
        return code
    return find_language(tag)


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name
