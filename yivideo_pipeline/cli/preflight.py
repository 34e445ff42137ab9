"""Checks before the first video: what would stop a later one is reported within seconds.

That is: options that are not allowed, paths without videos, weights that can't be had, folders that can't be
written, disks without room.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from yivideo_pipeline.cli.console import WrongUsage, printable
from yivideo_pipeline.cli.folders import SpaceNeed, ledger_of, require_space, require_writable
from yivideo_pipeline.cli.lookahead import LookAhead
from yivideo_pipeline.errors.classify import classify, disk_error
from yivideo_pipeline.errors.tree import (
    ConfigValidationError,
    DiskError,
    DiskFull,
    ModelLoadError,
    UnreadableMedia,
    YivideoError,
)
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.library.ignore import NameRules
from yivideo_pipeline.remote.client import RemoteSpeech
from yivideo_pipeline.settings.options import OptionsT, SpeechOptions, override
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.speech.weights import WeightsStatus, download_bytes
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import absolute_path, is_below, key_of, path_below
from yivideo_pipeline.storage.remote_paths import AnyPath, require_bucket, to_path

if TYPE_CHECKING:
    from upath import UPath

AUDIO_BYTES_PER_S = 32_000
"""Decoded audio: 16,000 samples a second of two bytes."""
LOOK_AHEAD_S = 3.0
"""Seconds after which the work begins, however many videos are not opened yet."""
_FLAGS = {"model_name": "--model", "formats": "--format"}
"""Flags whose name differs from the option's."""


@dataclass(frozen=True)
class ProcessOptions:
    """The options that apply to all videos of the command."""

    speech: SpeechOptions
    subtitles: SubtitleOptions

    def override(self, speech: Mapping[str, Any], subtitles: Mapping[str, Any]) -> "ProcessOptions":
        """Return these options, with the command line's in their place.

        Args:
            speech: Speech options by name; None where the command line has none.
            subtitles: Subtitle options by name, likewise.

        Raises:
            ConfigValidationError: Options are not allowed, or don't go with the settings; one line a flag.
        """
        problems: list[str] = []
        chosen = ProcessOptions(
            _override(self.speech, speech, problems), _override(self.subtitles, subtitles, problems)
        )
        if problems:
            raise ConfigValidationError("\n".join(problems))
        return chosen


@dataclass(frozen=True)
class FoundVideos:
    """The videos in order, each once, and the folders or buckets that could not be read."""

    videos: tuple[AnyPath, ...]
    unreadable: tuple[tuple[AnyPath, YivideoError], ...]


def find_videos(
    paths: Sequence[Path], extensions: Collection[str], ignored: Collection[AnyPath]
) -> FoundVideos:
    """Find videos: files are taken as they are, folders are searched recursively for the extensions.

    Hidden files and folders are skipped, and so are links to folders.

    Args:
        paths: Files and folders; URLs of objects, or of buckets and places in them.
        extensions: Extensions of videos, in lower case, with the dot.
        ignored: Folders to skip: those of yivideo's own, which hold decoded audio.

    Raises:
        WrongUsage: A path does not exist, or there is no video in any of them.
        YivideoError: Object storage can't be asked.
    """
    places = [absolute_path(to_path(path)) for path in paths]
    kinds = {place: _kind_of(place) for place in places}
    if missing := [place for place, kind in kinds.items() if not kind]:
        raise WrongUsage(
            f"There is no {', '.join(printable(str(place)) for place in missing)}", "Check the path"
        )
    videos: dict[AnyPath, None] = {}
    unreadable: list[tuple[AnyPath, YivideoError]] = []
    for place, kind in kinds.items():
        if kind == "file":
            found: Iterable[AnyPath] = [place]
        elif isinstance(place, Path):
            skipped = {folder for folder in ignored if isinstance(folder, Path)}
            found = _search(place, tuple(extensions), skipped, unreadable)
        else:
            found = _list(place, extensions, ignored, unreadable)
        videos.update(dict.fromkeys(found))
    if not videos and not unreadable:
        raise WrongUsage(
            "There is no video in " + ", ".join(printable(str(place)) for place in places),
            "Known extensions are library.extensions of the settings; a file given by name is always taken",
        )
    return FoundVideos(tuple(videos), tuple(unreadable))


@dataclass(frozen=True)
class PlannedVideo:
    """One video to process: its partition key, and its duration as far as it is known beforehand."""

    path: AnyPath
    key: str
    duration_s: float | None


@dataclass(frozen=True)
class ProcessPlan:
    """What will be done.

    `blocked` gives, by a video or its folder, the reason why it can't be processed; `warnings` are lines for
    the user; `model` is the one that will be used, `needs_it_soon` tells that the first video has no
    transcript yet.
    """

    videos: tuple[PlannedVideo, ...]
    blocked: dict[AnyPath, YivideoError]
    weights: WeightsStatus
    warnings: tuple[str, ...]
    model: ModelChoice
    needs_it_soon: bool

    @property
    def duration_s(self) -> float:
        """Duration of all videos together, as far as it is known."""
        return sum(video.duration_s or 0.0 for video in self.videos)


def plan_videos(
    settings: Settings,
    speech_options: SpeechOptions,
    paths: Sequence[AnyPath],
    output_dir: "AnyPath | None",
    speech: LocalSpeech | RemoteSpeech,
    ahead: LookAhead,
) -> ProcessPlan:
    """Check options, weights, folders and disks for the work on these videos.

    Raises:
        YivideoError: Something would stop the work; its hint says what to do about it.
    """
    model = speech.choose(speech_options)
    warnings = speech.check(model.options)
    weights = _require_weights(speech, model.options)
    ledger_of(settings)
    blocked: dict[AnyPath, YivideoError] = {}
    if isinstance(output_dir, Path):
        require_writable(output_dir, "Give another folder with --output-dir")
    elif output_dir:
        _require_bucket(output_dir)
    else:
        blocked |= _find_blocked_folders({path.parent for path in paths if isinstance(path, Path)})
    ahead.begin(paths)
    videos = tuple(
        PlannedVideo(path, key_of(path, settings.library.roots), duration_s)
        for path, duration_s in ahead.estimate_durations(LOOK_AHEAD_S).items()
    )
    blocked |= _find_irregular(paths)
    storage = Storage(settings.storage.root, settings.home / "tmp")
    storage.files.require_reachable()
    audio_dir, model_dir = storage.files.folder or settings.home, settings.cache.model_dir
    for folder in (audio_dir, model_dir):
        require_writable(folder, "Make it writable, or name another one in the settings")
    written = [settings.home, *([output_dir] if isinstance(output_dir, Path) else [])]
    needs = [SpaceNeed(folder, 0, "subtitles and records") for folder in written]
    if weights.state == "fetchable" and (size := download_bytes(model.options.model_name)):
        needs.append(SpaceNeed(model_dir, size, "the weights"))
    possible = [video for video in videos if video.path not in blocked]
    blocked |= _require_space_for_audio(possible, audio_dir, storage, needs)
    first = next((one for one in possible if one.duration_s and one.path not in blocked), None)
    is_new = first is not None and storage.find_latest(first.key, "transcript") is None
    return ProcessPlan(videos, blocked, weights, warnings, model, is_new)


def _override(base: OptionsT, given: Mapping[str, Any], problems: list[str]) -> OptionsT:
    """Return the options with the given ones in their place; what is not allowed goes to `problems`."""
    try:
        return override(base, given, name_field=_flag_of)
    except ConfigValidationError as error:
        problems.append(error.message)
        return base


def _flag_of(option: str) -> str:
    return _FLAGS.get(option, "--" + option.replace("_", "-"))


def _kind_of(place: AnyPath) -> Literal["file", "directory"] | None:
    """Return what is at a place; None where there is nothing."""
    if isinstance(place, Path):
        return ("directory" if place.is_dir() else "file") if os.path.lexists(place) else None
    try:
        return place.fs.info(place.path)["type"]
    except FileNotFoundError:
        return None
    except Exception as error:
        raise classify(error) from error


def _list(
    place: "UPath",
    extensions: Collection[str],
    ignored: Collection[AnyPath],
    unreadable: list[tuple[AnyPath, YivideoError]],
) -> "list[UPath]":
    """Return the videos of a bucket, or of the part of it below a URL, by their names."""
    from yivideo_pipeline.library.bucket import BucketListing

    own = [path_below(folder, place) for folder in ignored if is_below(folder, place)]
    rules = NameRules(extensions, closed=dict.fromkeys(own, Reason.OWN_FOLDER))
    found = BucketListing(place, rules).scan()
    if found.trouble:
        unreadable.append((place, DiskError(f"The bucket can't be listed ({found.trouble})")))
    return [place / path for path in sorted(found.files)]


def _search(
    top: Path, extensions: tuple[str, ...], ignored: set[Path], unreadable: list[tuple[AnyPath, YivideoError]]
) -> list[Path]:
    def note(error: OSError) -> None:
        known = disk_error(error) or DiskError(f"The folder can't be read ({error.strerror})")
        unreadable.append((Path(error.filename), known))

    found: list[Path] = []
    for folder, below, names in os.walk(top, onerror=note):
        below[:] = sorted(
            name for name in below if not name.startswith(".") and Path(folder, name) not in ignored
        )
        found += [
            Path(folder, name)
            for name in sorted(names)
            if name.lower().endswith(extensions) and not name.startswith(".")
        ]
    return found


def _require_weights(speech: LocalSpeech | RemoteSpeech, options: SpeechOptions) -> WeightsStatus:
    status = speech.weights(options)
    if status.state == "missing":
        raise ModelLoadError(
            f"The weights of model {options.model_name} can't be had: {status.reason}",
            "Choose another model, or put its weights into the model cache (cache.model_dir)",
        )
    return status


def _find_blocked_folders(folders: set[Path]) -> dict[AnyPath, YivideoError]:
    blocked: dict[AnyPath, YivideoError] = {}
    for folder in folders:
        try:
            require_writable(folder, "Give another folder with --output-dir, or make this one writable")
        except YivideoError as error:
            blocked[folder] = error
    return blocked


def _require_bucket(place: "UPath") -> None:
    try:
        require_bucket(place)
    except FileNotFoundError as error:
        raise DiskError(f"There is no bucket for {place}", "Give another place with --output-dir") from error
    except Exception as error:
        raise classify(error) from error


def _find_irregular(paths: Sequence[AnyPath]) -> dict[AnyPath, YivideoError]:
    """Return what is no file, such as a pipe: it can't be read twice, and may never end."""
    from yivideo_pipeline.media.container import require_regular

    irregular: dict[AnyPath, YivideoError] = {}
    for path in paths:
        if not isinstance(path, Path):
            continue
        try:
            require_regular(path.stat().st_mode)
        except UnreadableMedia as error:
            irregular[path] = error
        except OSError:
            continue  # reported in full when the video is processed
    return irregular


def _require_space_for_audio(
    videos: Sequence[PlannedVideo], folder: Path, storage: Storage, other_needs: Sequence[SpaceNeed]
) -> dict[AnyPath, YivideoError]:
    """Check that the decoded audio of the videos finds room beside the other needs.

    Returns:
        The videos whose audio alone does not: their headers may lie, and the others are processed.

    Raises:
        DiskFull: There is no room for the others either, or there are none.
    """
    try:
        require_space([*other_needs, _audio_of(videos, folder)])
    except DiskFull:
        # What was decoded before is not decoded again; looking it up is slow, so it is done only now.
        left = [video for video in videos if storage.find_latest(video.key, "audio") is None]
        too_long = {video.path: error for video in left if (error := _find_too_long(video, folder))}
        others = left if len(too_long) == len(videos) else [one for one in left if one.path not in too_long]
        require_space([*other_needs, _audio_of(others, folder)])
        return too_long
    return {}


def _find_too_long(video: PlannedVideo, folder: Path) -> YivideoError | None:
    try:
        require_space([_audio_of([video], folder, "the sound of this video")])
    except DiskFull as error:
        return error
    return None


def _audio_of(
    videos: Sequence[PlannedVideo], folder: Path, purpose: str = "the sound of the videos"
) -> SpaceNeed:
    seconds = sum(video.duration_s or 0.0 for video in videos)
    return SpaceNeed(folder, round(seconds * AUDIO_BYTES_PER_S), purpose)
