"""Decoded sound on disk, read in slices: a ten-hour video never stands in memory whole."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

SAMPLE_RATE_HZ = 16_000
WAV_HEADER_BYTES = 44


@dataclass(frozen=True)
class Audio:
    """16 kHz mono 16-bit sound in a WAV file with a 44-byte header, memory-mapped.

    `offset_s` is when the sound starts on the video's own clock: sample 0 is shown at `offset_s`.
    """

    path: Path
    offset_s: float = 0.0

    @cached_property
    def samples(self) -> np.ndarray:
        """All samples, int16, shape (n,), mapped from disk rather than read."""
        if self.path.stat().st_size <= WAV_HEADER_BYTES:
            return np.zeros(0, np.int16)
        return np.memmap(self.path, np.int16, mode="r", offset=WAV_HEADER_BYTES)

    @property
    def duration_s(self) -> float:
        """Length of the sound in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ

    def slice(self, start_s: float, end_s: float) -> np.ndarray:
        """Samples between two times on the sound's own clock (without the offset), float32 in -1..1."""
        start, end = (max(0, round(t * SAMPLE_RATE_HZ)) for t in (start_s, end_s))
        return self.samples[start:end].astype(np.float32) / 32768
