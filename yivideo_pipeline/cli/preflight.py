"""What is checked before the first video: all that would stop a later one, within seconds."""

import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yivideo_pipeline.cli.console import WrongUsage, printable
from yivideo_pipeline.errors.classify import disk_error
from yivideo_pipeline.errors.tree import (
    ConfigValidationError,
    DiskError,
    DiskFull,
    ModelLoadError,
    YivideoError,
)
from yivideo_pipeline.remote.client import RemoteSpeech
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.models import MODELS
from yivideo_pipeline.settings.options import OptionsT, SpeechOptions, SubtitleOptions, override
from yivideo_pipeline.speech.loading import LocalSpeech
from yivideo_pipeline.speech.weights import WeightsStatus
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import key_of

# PART cli/space.py: Whether folders can be written, and whether the disks below them have room enough.

AUDIO_BYTES_PER_S = 32_000
"""Decoded sound: 16,000 samples a second of two bytes."""
LEAST_FREE_BYTES = 2**20
"""Room for subtitles, records and the like."""


@dataclass(frozen=True)
class Need:
    """Bytes that will be written to a folder, which is there, and what they are for."""

    folder: Path
    size_bytes: int
    purpose: str


def require_writable(folder: Path, advice: str) -> None:
    """Make the folder where it is missing, and write a nameless file into it.

    Permissions alone don't tell: a mount may be read-only, a network share may refuse root.

    Raises:
        DiskError: it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "it is a file, or below one" if is_file else error.strerror or str(error)
        raise DiskError(f"{printable(str(folder))} can't be written ({reason})", advice) from error


def require_space(needs: Iterable[Need]) -> None:
    """Check that every disk has room for all that will be written to it.

    Raises:
        DiskFull: one has not.
    """
    by_disk: dict[int, list[Need]] = {}
    for need in needs:
        by_disk.setdefault(need.folder.stat().st_dev, []).append(need)
    for wanted in by_disk.values():
        total = sum(need.size_bytes for need in wanted) + LEAST_FREE_BYTES
        free = shutil.disk_usage(wanted[0].folder).free
        if total > free:
            purposes = " and ".join(dict.fromkeys(need.purpose for need in wanted))
            raise DiskFull(
                f"About {megabytes(total)} are needed for {purposes},"
                f" the disk of {printable(str(wanted[0].folder))} has {megabytes(free)} free",
                "Free some space, process fewer videos at once, or set storage.root to another disk",
            )


def megabytes(size_bytes: int) -> str:
    """Write a size as MB or GB."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{max(size_bytes, 1e5) / 1e6:.1f} MB"


# PART cli/videos.py: Finds the videos that a command line names.


@dataclass(frozen=True)
class Found:
    """The videos in order, each once, and the folders that could not be looked into."""

    videos: tuple[Path, ...]
    closed: tuple[tuple[Path, YivideoError], ...]


def find_videos(paths: Sequence[Path], extensions: Collection[str], ours: Collection[Path]) -> Found:
    """Find videos: files are taken as they are, folders searched to their bottom for the extensions.

    Hidden files and folders are passed over, and so are links to folders.

    Args:
        paths: Files and folders.
        extensions: Endings of files that are taken for videos, in lower case, with the dot.
        ours: Folders of yivideo's own, in which decoded sound lies; passed over too.

    Raises:
        WrongUsage: a path is not there, or there is no video in any of them.
    """
    missing = [path for path in paths if not os.path.lexists(path)]
    if missing:
        names = ", ".join(printable(str(path)) for path in missing)
        raise WrongUsage(f"There is no {names}", "Check the path")
    videos: dict[Path, None] = {}
    closed: list[tuple[Path, YivideoError]] = []
    for path in map(_absolute, paths):
        found = _search(path, tuple(extensions), set(ours), closed) if path.is_dir() else [path]
        videos.update(dict.fromkeys(found))
    if not videos and not closed:
        raise WrongUsage(
            "There is no video in " + ", ".join(printable(str(path)) for path in paths),
            "Known endings are library.extensions of the settings; a file given by name is always taken",
        )
    return Found(tuple(videos), tuple(closed))


def _search(
    top: Path, extensions: tuple[str, ...], ours: set[Path], closed: list[tuple[Path, YivideoError]]
) -> list[Path]:
    def note(error: OSError) -> None:
        known = disk_error(error) or DiskError(f"The folder can't be read ({error.strerror})")
        closed.append((Path(error.filename), known))

    found: list[Path] = []
    for folder, below, names in os.walk(top, onerror=note):
        below[:] = sorted(
            name for name in below if not name.startswith(".") and Path(folder, name) not in ours
        )
        found += [
            Path(folder, name)
            for name in sorted(names)
            if name.lower().endswith(extensions) and not name.startswith(".")
        ]
    return found


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links


# PART cli/choices.py: What a command line changes of the settings, checked before anything else happens.

_FLAGS = {"model_name": "--model", "formats": "--format"}
"""Flags that are called otherwise than the option."""


@dataclass(frozen=True)
class Choices:
    """Options by name; None where the command line leaves them to the settings."""

    speech: Mapping[str, Any]
    subtitles: Mapping[str, Any]

    def over(self, settings: Settings) -> "Chosen":
        """Put the choices over the settings.

        Raises:
            ConfigValidationError: a choice is not allowed, or does not go with the settings.
        """
        problems: list[str] = []
        speech = _merge(settings.speech.options, self.speech, problems)
        subtitles = _merge(settings.subtitles, self.subtitles, problems)
        if problems:
            raise ConfigValidationError("\n".join(problems))
        return Chosen(speech, _given(speech, self.speech), subtitles, _given(subtitles, self.subtitles))


@dataclass(frozen=True)
class Chosen:
    """All options as they apply, and those alone that the command line gave, as plain values."""

    speech: SpeechOptions
    speech_given: dict[str, Any]
    subtitles: SubtitleOptions
    subtitles_given: dict[str, Any]


def _merge(options: OptionsT, choices: Mapping[str, Any], problems: list[str]) -> OptionsT:
    """Return the options with the choices over them; what is not allowed goes to `problems`."""
    try:
        return override(options, choices, name_field=_flag)
    except ConfigValidationError as error:
        problems += error.message.splitlines()
        return options


def _given(options: SpeechOptions | SubtitleOptions, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The given ones as they were understood: a language's code, a folder's whole path."""
    names = {name for name, value in choices.items() if value is not None}
    return options.model_dump(mode="json", include=names)


def _flag(name: str) -> str:
    return _FLAGS.get(name, "--" + name.replace("_", "-"))


PROBE_SECONDS = 3.0


@dataclass(frozen=True)
class Video:
    """One video of the work: its partition key, and its seconds as far as they are known beforehand."""

    path: Path
    key: str
    duration_s: float | None


@dataclass(frozen=True)
class Plan:
    """What will be done.

    `blocked` says of a video's folder why nothing can be written to it; `warnings` are lines for a person.
    """

    videos: tuple[Video, ...]
    blocked: dict[Path, YivideoError]
    weights: WeightsStatus
    warnings: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Seconds of all videos together, where they are known."""
        return sum(video.duration_s or 0.0 for video in self.videos)


def prepare(
    settings: Settings,
    chosen: Chosen,
    paths: Sequence[Path],
    output_dir: Path | None,
    speech: LocalSpeech | RemoteSpeech,
) -> Plan:
    """Check options, weights, folders and disks for the work on these videos.

    Raises:
        YivideoError: what would stop the work, and what to do about it.
    """
    warnings = speech.check(chosen.speech)
    weights = _require_weights(speech, chosen.speech)
    require_writable(settings.home, "Set YIVIDEO_HOME to a folder that you may write")
    if output_dir:
        require_writable(output_dir, "Give another folder with --output-dir")
        blocked = {}
    else:
        blocked = _blocked_folders({path.parent for path in paths})
    videos = tuple(
        Video(path, key_of(path, settings.library.roots), duration_s)
        for path, duration_s in zip(paths, estimate_durations(paths), strict=True)
    )
    plan = Plan(videos, blocked, weights, warnings)
    _require_space(settings, chosen, plan, output_dir)
    return plan


def estimate_durations(paths: Sequence[Path]) -> list[float | None]:
    """Return how long each video is, in seconds; None where its file does not say.

    Looking into thousands of files would take minutes: after 3 s the others are estimated by their size.
    """
    from yivideo_pipeline.media.probe import probe

    deadline = time.monotonic() + PROBE_SECONDS
    durations: list[float | None] = []
    for path in paths:
        if time.monotonic() > deadline:
            break
        try:
            durations.append(probe(path).duration_s)
        except YivideoError:
            durations.append(None)  # said in full when its turn comes
    looked_at = [(path, length) for path, length in zip(paths, durations, strict=False) if length]
    size = sum(_size(path) for path, _ in looked_at)
    seconds_per_byte = sum(length for _, length in looked_at) / size if size else 0.0
    return durations + [_size(path) * seconds_per_byte or None for path in paths[len(durations) :]]


def _require_weights(speech: LocalSpeech | RemoteSpeech, options: SpeechOptions) -> WeightsStatus:
    status = speech.weights(options)
    if status.state == "missing":
        raise ModelLoadError(
            f"The weights of model {options.model_name} can't be had: {status.reason}",
            "Choose another model, or put its weights into the model cache (cache.model_dir)",
        )
    return status


def _blocked_folders(folders: set[Path]) -> dict[Path, YivideoError]:
    blocked: dict[Path, YivideoError] = {}
    for folder in folders:
        try:
            require_writable(folder, "Give another folder with --output-dir, or make this one writable")
        except YivideoError as error:
            blocked[folder] = error
    return blocked


def _require_space(settings: Settings, chosen: Chosen, plan: Plan, output_dir: Path | None) -> None:
    storage = Storage(settings.storage.root, settings.home / "tmp")
    work_dir = storage.files.folder or settings.home
    for folder in (work_dir, settings.cache.model_dir):
        require_writable(folder, "Make it writable, or name another one in the settings")
    needs = [Need(folder, 0, "subtitles and records") for folder in (settings.home, output_dir) if folder]
    if plan.weights.state == "fetchable" and (facts := MODELS.get(chosen.speech.model_name)):
        needs.append(Need(settings.cache.model_dir, facts.weight_bytes("float16"), "the weights"))
    try:
        require_space([*needs, _sound_of(plan.videos, work_dir)])
    except DiskFull:
        # What was decoded before is not decoded again; to ask for each video is worth it only now.
        left = [video for video in plan.videos if storage.recall(video.key, "audio") is None]
        require_space([*needs, _sound_of(left, work_dir)])


def _sound_of(videos: Sequence[Video], folder: Path) -> Need:
    seconds = sum(video.duration_s or 0.0 for video in videos)
    return Need(folder, round(seconds * AUDIO_BYTES_PER_S), "the sound of the videos")


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0
