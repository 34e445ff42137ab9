"""What is checked before the first video: all that would stop a later one, within seconds."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from yivideo_pipeline.cli.choices import Chosen
from yivideo_pipeline.cli.space import AUDIO_BYTES_PER_S, Need, require_space, require_writable
from yivideo_pipeline.errors.tree import DiskFull, ModelLoadError, YivideoError
from yivideo_pipeline.remote.speech import RemoteSpeech
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.models import MODELS
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.weights import WeightsStatus
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import key_of

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
