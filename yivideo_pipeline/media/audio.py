"""Decoded sound on disk, read in slices: a ten-hour video is never in memory as a whole.

numpy is imported when a sample is: programs that only hand sounds on start 80 ms sooner without it.
"""

import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SAMPLE_RATE_HZ = 16_000
WAV_HEADER_BYTES = 44
BYTES_PER_SAMPLE = 2

_MAX_DATA_BYTES = 2**32 - 1 - WAV_HEADER_BYTES
_PCM = 1


@dataclass(frozen=True)
class Audio:
    """16 kHz mono 16-bit sound in a WAV file with a 44-byte header, memory-mapped.

    `offset_s` is when the sound starts on the video's own clock: sample 0 is shown at `offset_s`.
    """

    path: Path
    offset_s: float = 0.0

    @cached_property
    def samples(self) -> "np.ndarray":
        """All samples, int16, shape (n,), mapped from disk rather than read."""
        import numpy as np

        if self.path.stat().st_size <= WAV_HEADER_BYTES:
            return np.zeros(0, np.int16)
        return np.memmap(self.path, np.int16, mode="r", offset=WAV_HEADER_BYTES)

    @property
    def duration_s(self) -> float:
        """Length of the sound in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ

    def read(self, start: int, end: int) -> "np.ndarray":
        """Return samples `start` to `end`, int16, read into memory of their own.

        Unlike pages of the mapping, that memory is freed when the array is.
        """
        import numpy as np

        offset = WAV_HEADER_BYTES + start * BYTES_PER_SAMPLE
        return np.fromfile(self.path, np.int16, count=max(0, end - start), offset=offset)

    def slice(self, start_s: float, end_s: float) -> "np.ndarray":
        """Return samples between two times on the sound's own clock (offset not included), float32, -1..1."""
        start, end = (max(0, round(t * SAMPLE_RATE_HZ)) for t in (start_s, end_s))
        return self.read(start, end).astype("float32") / 32768


def wav_header(sample_count: int) -> bytes:
    """Return the 44-byte header of a 16 kHz mono 16-bit WAV file.

    Its 32-bit sizes end at 4 GB (37 hours). Beyond that they stay at their maximum: readers that go by
    the file's size, as `Audio` does, still see everything.
    """
    data_bytes = min(sample_count * BYTES_PER_SAMPLE, _MAX_DATA_BYTES)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        data_bytes + WAV_HEADER_BYTES - 8,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        1,
        SAMPLE_RATE_HZ,
        SAMPLE_RATE_HZ * BYTES_PER_SAMPLE,
        BYTES_PER_SAMPLE,
        8 * BYTES_PER_SAMPLE,
        b"data",
        data_bytes,
    )


def write_wav(path: Path, samples: "np.ndarray", offset_s: float = 0.0) -> Audio:
    """Write int16 samples, shape (n,), as a 16 kHz mono WAV file."""
    path.write_bytes(wav_header(len(samples)) + samples.astype("<i2", copy=False).tobytes())
    return Audio(path, offset_s)
