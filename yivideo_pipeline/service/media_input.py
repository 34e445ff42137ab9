"""The sound that a request is about: a file that it names, or one that it brings."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from yivideo_pipeline.errors.tree import MediaError
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, WAV_HEADER_BYTES, Audio, wav_header
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import probe
from yivideo_pipeline.media.select import choose_audio_stream
from yivideo_pipeline.service.outcome import note_sound
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.storage.scratch import scratch_folder

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
