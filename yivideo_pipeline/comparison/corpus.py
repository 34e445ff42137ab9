"""The recordings that a comparison is made on, with their texts and word times, where these are known.

A recording's text is in `NAME.txt` beside it, and its words' times in `NAME.words.json`; or a folder has a
`manifest.json` that lists its recordings.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yivideo_pipeline.errors.tree import ConfigValidationError, MediaError
from yivideo_pipeline.settings.sections import VIDEO_EXTENSIONS

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class TimedWord:
    """A word between two times in seconds."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Clip:
    """A recording; `text` is what is said in it, empty where that is not known.

    `language` is that of the text, empty where it is not known. `words` are the text's, with their times.
    """

    path: Path
    language: str = ""
    text: str = ""
    words: tuple[TimedWord, ...] = ()


def find_clips(corpus: Path | None, videos: Sequence[Path]) -> list[Clip]:
    """Return the recordings of a corpus folder and those that are named.

    Args:
        corpus: A folder with a `manifest.json`, or with videos or sounds.
        videos: Files.

    Raises:
        ConfigValidationError: The folder has no recordings, or its manifest can't be read as one.
        MediaError: There is no such file.
    """
    clips = [] if corpus is None else _clips_of(corpus)
    for video in videos:
        if not video.is_file():
            what = "is a folder" if video.is_dir() else "does not exist"
            raise MediaError(f"{video} {what}", "Name a video, or a folder with --corpus")
        clips.append(_clip_of(video))
    return list({clip.path.resolve(): clip for clip in clips}.values())


def load_corpus(folder: Path) -> list[Clip]:
    """Read the recordings that a folder's `manifest.json` lists.

    Each entry has `audio`, the file's name; `language` and `text`; and, where they are known, `words`, each
    with `word`, `start` and `end` in seconds.
    """
    return [
        Clip(
            path=folder / entry["audio"],
            language=entry["language"],
            text=entry["text"],
            words=tuple(
                TimedWord(word["word"], word["start"], word["end"]) for word in entry.get("words") or ()
            ),
        )
        for entry in _read_json(folder / MANIFEST)
    ]


def _clips_of(folder: Path) -> list[Clip]:
    if not folder.is_dir():
        raise ConfigValidationError(f"--corpus {folder} is not a folder", "Name a folder with recordings")
    if (folder / MANIFEST).is_file():
        try:
            clips = load_corpus(folder)
        except (KeyError, TypeError) as error:
            raise ConfigValidationError(
                f"{folder / MANIFEST} is no list of recordings with audio, language and text ({error!r})"
            ) from error
        missing = next((clip.path for clip in clips if not clip.path.is_file()), None)
        if missing:
            raise MediaError(f"{missing} does not exist", f"{folder / MANIFEST} lists it")
    else:
        files = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in VIDEO_EXTENSIONS)
        clips = [_clip_of(path) for path in files if path.is_file()]
    if not clips:
        raise ConfigValidationError(f"{folder} has no recordings", "Name a folder with videos or sounds")
    return clips


def _clip_of(path: Path) -> Clip:
    text, words = path.with_suffix(".txt"), path.with_suffix(".words.json")
    timed = _read_json(words) if words.is_file() else ()
    try:
        said = text.read_text(encoding="utf-8").strip() if text.is_file() else ""
        return Clip(path, text=said, words=tuple(TimedWord(*word) for word in timed))
    except UnicodeDecodeError as error:
        raise ConfigValidationError(f"{text} is not UTF-8", "Save it as UTF-8, or move it away") from error
    except TypeError as error:
        raise ConfigValidationError(f"{words} is no list of words, each with start and end") from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of its encoding, too
        raise ConfigValidationError(f"{path} is not JSON: {error}") from error
