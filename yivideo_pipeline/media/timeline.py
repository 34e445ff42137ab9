"""Writes decoded frames to a WAV file at the places that their timestamps name."""

from typing import BinaryIO

import numpy as np
from av.audio.frame import AudioFrame

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, WAV_HEADER_BYTES, wav_header
from yivideo_pipeline.media.downmix import Downmix, describe_sound

_TOLERATED_DRIFT_S = 0.1
_MAX_OVERLAP_S = 1.0
_MAX_UNDECLARED_GAP_S = 3600.0


class Timeline:
    """Sound in a file, in time with the container's clock.

    Frames that follow each other are written as they come. Where the clock has run ahead of the sound by
    more than 0.1 s (packets are missing), silence fills the gap; where it is behind by up to 1 s (frames
    overlap), the later frame wins. So no later word is out of time. A larger step back, or one beyond the
    end of the file, is a clock that was reset: the sound goes on without a gap.

    `start_s`, `first_gap_s` and `first_reset_s` are on the container's clock; None where there is none.

    Args:
        file: Opened for binary writing, at its start.
        end_s: When the video ends on the container's clock, where that is declared.
    """

    def __init__(self, file: BinaryIO, end_s: float | None) -> None:
        self._file = file
        self._end_s = end_s
        self._position = 0
        self._length = 0
        self._downmix: Downmix | None = None
        self._format: tuple[str, str, int] | None = None
        self._origin_s = 0.0
        self._next_s = 0.0
        self.start_s: float | None = None
        self.first_gap_s: float | None = None
        self.first_reset_s: float | None = None
        file.write(wav_header(0))

    @property
    def sample_count(self) -> int:
        """Samples in the file so far."""
        return self._length

    def add(self, frame: AudioFrame) -> None:
        """Put one decoded frame where its timestamp says, or after the last where it has none."""
        time_s = frame.time
        if self.start_s is None:
            self.start_s = self._origin_s = self._next_s = time_s or 0.0
        drift_s = 0.0 if time_s is None else time_s - self._next_s
        if abs(drift_s) > _TOLERATED_DRIFT_S:
            self._end_run()
            self._move(drift_s)
        if self._downmix is None or self._format != describe_sound(frame):
            self._end_run()
            self._downmix, self._format = Downmix(frame), describe_sound(frame)
        # An exact sum: a float's error over ten hours of frames stays under a microsecond.
        self._next_s += frame.samples / frame.sample_rate
        self._write(self._downmix, frame)

    def close(self) -> None:
        """Write what the filters still hold and the header's final sizes."""
        self._end_run()
        self._file.seek(0)
        self._file.write(wav_header(self._length))

    def _move(self, drift_s: float) -> None:
        if self._is_reset(drift_s):
            self._origin_s += drift_s
            self.first_reset_s = self._next_s if self.first_reset_s is None else self.first_reset_s
        elif drift_s > 0 and self.first_gap_s is None:
            self.first_gap_s = self._next_s
        self._next_s += drift_s
        self._position = max(0, round((self._next_s - self._origin_s) * SAMPLE_RATE_HZ))
        self._file.seek(WAV_HEADER_BYTES + self._position * np.int16().itemsize)

    def _is_reset(self, drift_s: float) -> bool:
        if drift_s < 0:
            return drift_s < -_MAX_OVERLAP_S
        if self._end_s is None:
            return drift_s > _MAX_UNDECLARED_GAP_S
        return self._next_s + drift_s > self._end_s

    def _end_run(self) -> None:
        if self._downmix is not None:
            self._write(self._downmix, None)
            self._downmix = None

    def _write(self, downmix: Downmix, frame: AudioFrame | None) -> None:
        for samples in downmix.convert(frame):
            self._file.write(samples.astype("<i2", copy=False).tobytes())
            self._position += len(samples)
            self._length = max(self._length, self._position)
