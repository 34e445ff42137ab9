"""Writes decoded frames to a WAV file, and moves them apart where sound is missing between them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from av.audio.frame import AudioFrame

from yivideo_pipeline.errors.tree import UnreadableMedia
from yivideo_pipeline.media.audio import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, WAV_HEADER_BYTES, wav_header
from yivideo_pipeline.media.clock import TOLERATED_DRIFT_S, PictureClock, Placement, Run
from yivideo_pipeline.media.downmix import ChannelMixer, Downmix
from yivideo_pipeline.media.probe import longest_duration_s

_COPY_BYTES = 1024 * 1024


class SoundWriter:
    """Writes decoded frames one after the other to a WAV file, and notes the runs of their timestamps.

    Args:
        file: Opened for binary writing, at its start.
        source_bytes: Size of the media file, which bounds how much sound can be in it.
        hear: Called with all samples in order, int16, as they are written.
    """

    def __init__(self, file: BinaryIO, source_bytes: int, hear: Callable[[np.ndarray], None]) -> None:
        self._file = file
        self._hear = hear
        self._most = SAMPLE_RATE_HZ * longest_duration_s(source_bytes)
        self._downmix: Downmix | None = None
        self._format: tuple[str, str, int] | None = None
        self._next_s = 0.0
        self._last_frame_s = 0.0
        self._picture_then_s: float | None = None
        self.picture = PictureClock()
        self.mixer = ChannelMixer()
        self.runs: list[Run] = []
        self.length = 0
        file.write(wav_header(0))

    def see_picture(self, stamp_s: float) -> None:
        """Note a timestamp of the picture."""
        self.picture.see(stamp_s)
        if self.runs and self.runs[-1].picture_after_s is None:
            self.runs[-1].picture_after_s = stamp_s

    def add(self, frame: AudioFrame, time_s: float | None) -> None:
        """Write a decoded frame; one without a timestamp follows the last one.

        Raises:
            UnreadableMedia: The sound can't be mixed, or is longer than a file of this size can hold.
        """
        is_break = time_s is not None and abs(time_s - self._next_s) > TOLERATED_DRIFT_S
        if not self.runs or is_break:
            self._end_run()
            self._next_s = time_s or 0.0
            self.runs.append(Run(self.length, self._next_s, picture_then_s=self._picture_then_s))
        self._picture_then_s = self.picture.now_s
        if self._downmix is None or self._format != _describe_sound(frame):
            self._end_run()
            self._downmix, self._format = Downmix(frame), _describe_sound(frame)
        # An exact sum: a float's error over ten hours of frames stays under a microsecond.
        self._last_frame_s = frame.samples / frame.sample_rate
        self._next_s += self._last_frame_s
        self._convert(self._downmix, frame)

    def repeat_silence(self) -> None:
        """Write silence in place of a frame that can't be decoded, as long as the last one."""
        if self.runs:
            self._end_run()
            self._push(np.zeros((1, round(self._last_frame_s * SAMPLE_RATE_HZ)), np.float32))

    def close(self) -> None:
        """Write what the filters still hold and the header's final sizes."""
        self._end_run()
        self._write(self.mixer.flush())
        self._file.seek(0)
        self._file.write(wav_header(self.length))

    def _end_run(self) -> None:
        if self._downmix is not None:
            self._convert(self._downmix, None)
            self._downmix = None

    def _convert(self, downmix: Downmix, frame: AudioFrame | None) -> None:
        for samples in downmix.convert(frame):
            self._push(samples)

    def _push(self, samples: np.ndarray) -> None:
        self.length += samples.shape[1]
        self.runs[-1].length += samples.shape[1]
        if self.length > self._most:
            raise UnreadableMedia(
                f"Over {self.length / SAMPLE_RATE_HZ / 3600:.0f} hours of sound come out of this small file",
                "Check where it comes from",
            )
        self._write(self.mixer.push(samples))

    def _write(self, blocks: Iterator[np.ndarray]) -> None:
        for block in blocks:
            self._file.write(block.astype("<i2", copy=False).tobytes())
            self._hear(block)


def move_apart(target: Path, runs: list[Run], placement: Placement) -> bool:
    """Rewrite the sound with each run in its place; what lies between them is silence.

    Returns:
        Whether there was anything to move.
    """
    if all(run.start == position for run, position in zip(runs, placement.positions, strict=True)):
        return False
    placed = target.with_name(f"{target.name}.placed")
    try:
        with target.open("rb") as source, placed.open("wb") as file:
            for run, position in zip(runs, placement.positions, strict=True):
                source.seek(WAV_HEADER_BYTES + run.start * BYTES_PER_SAMPLE)
                file.seek(WAV_HEADER_BYTES + position * BYTES_PER_SAMPLE)
                _copy(source, file, run.length * BYTES_PER_SAMPLE)
            length = (file.seek(0, 2) - WAV_HEADER_BYTES) // BYTES_PER_SAMPLE
            file.seek(0)
            file.write(wav_header(length))
        placed.replace(target)
    finally:
        placed.unlink(missing_ok=True)
    return True


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size > 0 and (block := source.read(min(size, _COPY_BYTES))):
        target.write(block)
        size -= len(block)


def _describe_sound(frame: AudioFrame) -> tuple[str, str, int]:
    """Return what a downmix is built for: a frame's sample format, channel layout and rate."""
    return frame.format.name, frame.layout.name, frame.sample_rate
