"""The sound that a request is about: a file that it names, or one that it brings."""

import logging
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from yivideo_pipeline.errors.tree import MediaError
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, WAV_HEADER_BYTES, Audio, wav_header
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import choose_audio_stream, probe
from yivideo_pipeline.service.errors import SEE_DOCS, Refused, note_sound
from yivideo_pipeline.settings.options import NO_MODEL_FOLDER
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.storage.file_store import scratch_folder

_SIZES = (slice(4, 8), slice(40, 44))
_COPY_BYTES = 1024 * 1024


class SoundTooLong(MediaError):
    """A sound that is longer than the service takes."""

    kind = "media_too_long"


@contextmanager
def open_sound(path: Path, offset_s: float, language: str, settings: Settings) -> Generator[Audio]:
    """Lend the sound of a media file as the recognizer wants it.

    What the pipeline has decoded is used as it is; of all else a stream is chosen and decoded first.

    Args:
        path: The file; the caller has checked that it may be read.
        offset_s: Where a decoded sound starts; of other files the file itself says it.
        language: Of the stream to choose, or `auto`.
        settings: Bounds, and where there is room to work.

    Raises:
        MediaError: it can't be read, holds no sound, or lasts too long.
    """
    if _is_ours(path):
        yield _bounded(Audio(path, offset_s), settings)
        return
    info = probe(path)
    _require_short(info.duration_s or 0.0, settings)
    stream = choose_audio_stream(info, language)
    with scratch_folder(settings.home / "tmp") as folder:
        yield _bounded(decode_audio(path, folder / "audio.wav", stream).audio, settings)


@contextmanager
def keep_upload(source: BinaryIO, settings: Settings, suffix: str = "") -> Generator[Path]:
    """Lend what a request brings as a file, removed afterwards."""
    with scratch_folder(settings.home / "tmp") as folder:
        path = folder / f"upload{suffix}"
        with path.open("wb") as file:
            shutil.copyfileobj(source, file, _COPY_BYTES)
        yield path


@contextmanager
def keep_pcm(source: BinaryIO, settings: Settings) -> Generator[Audio]:
    """Lend raw 16 kHz mono 16-bit samples (little-endian) as a sound, removed afterwards.

    Raises:
        SoundTooLong: there are too many.
    """
    with scratch_folder(settings.home / "tmp") as folder:
        path = folder / "audio.wav"
        with path.open("wb") as file:
            file.write(wav_header(0))
            shutil.copyfileobj(source, file, _COPY_BYTES)
            samples = (file.tell() - WAV_HEADER_BYTES) // 2
            file.truncate(WAV_HEADER_BYTES + 2 * samples)
            file.seek(0)
            file.write(wav_header(samples))
        yield _bounded(Audio(path), settings)


def _is_ours(path: Path) -> bool:
    """Whether a file is as `media.audio` writes it: the header's sizes aside, the same bytes."""
    with path.open("rb") as file:
        head = bytearray(file.read(WAV_HEADER_BYTES))
    usual = bytearray(wav_header(0))
    for sizes in _SIZES:
        head[sizes] = usual[sizes]
    return head == usual


def _bounded(audio: Audio, settings: Settings) -> Audio:
    _require_short(audio.duration_s, settings)
    note_sound(audio.duration_s)
    return audio


def _require_short(duration_s: float, settings: Settings) -> None:
    limit_s = settings.service.max_duration_s
    if duration_s > limit_s + 1 / SAMPLE_RATE_HZ:
        raise SoundTooLong(
            f"The sound lasts {duration_s:.0f} s, over the service's {limit_s:.0f} s",
            "Cut it, or raise service.max_duration_s",
        )


# PART service/paths.py: Files that a request may name: those under the allowed folders, whatever links there are on the way.

log = logging.getLogger(__name__)


def allowed_roots(settings: Settings) -> tuple[Path, ...]:
    """Return the folders from which files may be named: the library's, and those the settings add."""
    return (*settings.library.roots.values(), *settings.service.roots)


def require_allowed_model(name: str, settings: Settings, where: str) -> None:
    """Refuse a model's folder that lies neither among the weights nor in an allowed folder.

    Args:
        name: A model's name, hub id, or the whole path of its folder.
        settings: Say which model is configured, and which folders are allowed.
        where: The field of the request that names it.

    Raises:
        Refused: 422, in the words of a folder that does not exist: nobody finds out by it which there are.
    """
    folder = Path(name)
    if name == settings.speech.options.model_name or not folder.is_absolute():
        return
    roots = [root.resolve() for root in (settings.cache.model_dir, *allowed_roots(settings))]
    if not any(folder.resolve().is_relative_to(root) for root in roots):
        message = f"{where}: Value error, {NO_MODEL_FOLDER}"
        log.info("a model's folder is taken from cache.model_dir and service.roots alone, not %s", name)
        raise Refused(422, "invalid_request", message, SEE_DOCS)


def resolve_allowed(name: str, settings: Settings, also: tuple[Path, ...] = ()) -> Path:
    """Return the file that a request names, with all links followed.

    Args:
        name: An absolute path.
        settings: Say which folders are allowed.
        also: Further allowed folders.

    Raises:
        Refused: 403 where it lies outside, 404 where it is no file. Outside of the allowed folders it is
            never said whether a file exists.
    """
    roots = [root.resolve() for root in (*allowed_roots(settings), *also)]
    path = Path(name)
    if "\0" in name or not path.is_absolute():
        raise Refused(422, "invalid_request", "The path is not absolute", "Give the whole path of the file")
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):  # too long, links in a ring, no text that a name can be
        real = None
    if real is None or not any(real.is_relative_to(root) for root in roots):
        raise Refused(
            403,
            "path_not_allowed",
            "The file lies outside the allowed folders",
            "Put it under a library root, or add its folder to service.roots",
        )
    if not real.is_file():
        raise Refused(404, "not_found", "There is no such file", "Check the path")
    return real
