"""Mixes the channels of a sound to mono, and takes a single channel where the mix would lose the voice."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph

from yivideo_pipeline.errors.tree import UnreadableMedia
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ

LOWEST_RATE_HZ = 2000
"""Speech needs a rate of several kilohertz; at 1 Hz, 64 KB would become a gigabyte."""

_CENTRE = "FC"
_SILENT_CHANNELS = {"LFE", "LFE2"}
_SIDE_WEIGHT = 0.5
_LIMITER = "limit=0.98:level=disabled:latency=enabled"
_STEREO = 2
_TOGETHER = SAMPLE_RATE_HZ
"""Samples that are handed on at once: what Python does for each frame of AAC took a third of all the time."""


class Downmix:
    """Converts frames of one format, layout and rate to 16 kHz: two channels stay two, others become one.

    FFmpeg's own 5.1-to-mono matrix scales everything down until nothing can clip, which leaves the centre,
    where films have their dialogue, 10.7 dB too low. Here the centre stays at full level, and a limiter takes
    the peaks of the sum. The filters cause no delay: the first sample out belongs to the first sample in.

    Raises:
        UnreadableMedia: The layout can't be mixed, such as 32 channels without a meaning, or the rate is too
            low for speech.
    """

    def __init__(self, frame: AudioFrame) -> None:
        if frame.sample_rate < LOWEST_RATE_HZ:
            raise UnreadableMedia(
                f"The sound has a rate of {frame.sample_rate} Hz: no speech can be in it",
                "Check the file's header",
            )
        try:
            self._graph = _build_graph(frame)
        except av.error.FFmpegError as error:
            sound = f"{frame.layout.name} at {frame.sample_rate} Hz"
            raise UnreadableMedia(
                f"This sound can't be mixed to mono: {sound}", "Convert it to stereo"
            ) from error

    def convert(self, frame: AudioFrame | None) -> Iterator[np.ndarray]:
        """Yield what is ready, float32, shape (1 or 2 channels, n); without a frame the sound ends."""
        if frame is not None:
            # The caller places it in time; the filters only count samples.
            frame.pts = None
        self._graph.push(frame)
        while True:
            try:
                converted = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield converted.to_ndarray()


def _build_graph(frame: AudioFrame) -> Graph:
    graph = Graph()
    layout, sample_format = frame.layout, frame.format.name
    nodes = [graph.add_abuffer(sample_rate=frame.sample_rate, format=sample_format, layout=layout.name)]
    channels = [channel.name for channel in layout.channels]
    has_centre = len(channels) > 1 and _CENTRE in channels
    if has_centre:
        # In floating point: a sum in 16 bits would wrap around before the limiter sees it.
        nodes.append(graph.add("aformat", "sample_fmts=fltp"))
        nodes.append(graph.add("pan", f"mono|c0={_mix(channels)}"))
    nodes.append(graph.add("aresample", str(SAMPLE_RATE_HZ)))
    if has_centre:
        nodes.append(graph.add("alimiter", _LIMITER))
    if len(channels) == _STEREO and not has_centre:
        nodes.append(graph.add("aformat", "sample_fmts=fltp"))
    else:
        # 16 bits: only then does FFmpeg's matrix keep other layouts from clipping.
        nodes.append(graph.add("aformat", "sample_fmts=s16:channel_layouts=mono"))
        nodes.append(graph.add("aformat", "sample_fmts=fltp"))
    nodes.append(graph.add("asetnsamples", f"n={_TOGETHER}:p=0"))
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    return graph


def _mix(channels: list[str]) -> str:
    weights = {
        name: 1.0 if name == _CENTRE else _SIDE_WEIGHT for name in channels if name not in _SILENT_CHANNELS
    }
    return "+".join(f"{weight}*{name}" for name, weight in weights.items())


@dataclass
class ChannelUse:
    """Which channels the mono sound is made of, in seconds.

    Attributes:
        mix_s: Of both, or of the only one.
        left_s: Of the left one alone.
        right_s: Of the right one alone.
        cancelled_s: Of one alone, since both together cancel each other out.
        cancelled_at_s: Where that first happens, in the sound.
    """

    mix_s: float = 0.0
    left_s: float = 0.0
    right_s: float = 0.0
    cancelled_s: float = 0.0
    cancelled_at_s: float | None = None

    def warnings(self) -> Iterator[str]:
        """Yield what the user should know, a line each."""
        if self.cancelled_s >= _LEAST_REPORTED_S:
            yield (
                f"Left and right cancel each other out from {self.cancelled_at_s or 0:.1f} s on, for"
                f" {self.cancelled_s:.1f} s: the louder one is used there"
            )
        for used_s, used, other in ((self.left_s, "left", "right"), (self.right_s, "right", "left")):
            alone_s = used_s - self.cancelled_s
            if alone_s > (self.mix_s + self.left_s + self.right_s) / 2:
                yield f"The {other} channel is silent or holds only steady noise: the {used} one is used"


_LEAST_REPORTED_S = 1.0
_BLOCK = 10 * SAMPLE_RATE_HZ
_WINDOW = SAMPLE_RATE_HZ // 2
_FADE = SAMPLE_RATE_HZ // 50
_FRAME = SAMPLE_RATE_HZ // 10
_LEAST_JUDGED = 2 * SAMPLE_RATE_HZ
_CANCELLED = 10**-1.5
"""A mix 15 dB below its louder channel: left and right are opposite, at nearly the same level."""
_CLEARLY_LOUDER = 1.5
"""Else the left one is taken: with every change of channel the wave would jump."""
_INAUDIBLE = 1e-7
_STEADY_DB = 6.0


@dataclass
class ChannelMixer:
    """Mixes blocks of two channels to one; memory stays at one block.

    In each block of 10 s a channel that never changes its level, dead or with noise alone, is left out where
    the other one does: speech has pauses. Where left and right cancel each other out, in half a second, the
    louder one of the block is taken.
    """

    use: ChannelUse = field(default_factory=ChannelUse)
    _pending: list[np.ndarray] = field(default_factory=list)
    _pending_samples: int = 0
    _weights: np.ndarray | None = None
    _alone: int | None = None
    _done: int = 0

    def push(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Take float32 of shape (1 or 2, n); yield mono int16 of shape (n,) whenever a block is full."""
        if self._pending and samples.shape[0] != self._pending[0].shape[0]:
            yield from self.flush()
        self._pending.append(samples)
        self._pending_samples += samples.shape[1]
        if self._pending_samples >= _BLOCK:
            yield from self.flush()

    def flush(self) -> Iterator[np.ndarray]:
        """Yield what is left."""
        if not self._pending:
            return
        block = np.concatenate(self._pending, axis=1)
        self._pending, self._pending_samples = [], 0
        if block.shape[0] == _STEREO:
            weights = self._choose(block)
            mono = (block * _faded(weights, block.shape[1], self._weights)).sum(axis=0)
            self._weights = weights[:, -1:]
        else:
            mono = block[0]
            self.use.mix_s += block.shape[1] / SAMPLE_RATE_HZ
        self._done += block.shape[1]
        yield _to_int16(mono)

    def _choose(self, block: np.ndarray) -> np.ndarray:
        """Return the weights of left and right in each half second, shape (2, windows), and count them."""
        edges = np.arange(0, block.shape[1], _WINDOW)
        lengths = np.diff(edges, append=block.shape[1]) / SAMPLE_RATE_HZ
        energy = np.add.reduceat(block**2, edges, axis=1) / (lengths * SAMPLE_RATE_HZ)
        mixed = np.add.reduceat(((block[0] + block[1]) / 2) ** 2, edges) / (lengths * SAMPLE_RATE_HZ)
        loudest = energy.max(axis=0)
        cancelled = (mixed < _CANCELLED * loudest) & (loudest > _INAUDIBLE)
        left, right = (energy * lengths).sum(axis=1)
        louder = int(right > _CLEARLY_LOUDER * left)
        # A short rest tells too little: what held before it holds on.
        alone = self._alone = _changing_channel(block) if block.shape[1] >= _LEAST_JUDGED else self._alone
        weights = np.full((_STEREO, len(edges)), 0.5, np.float32)
        if alone is not None:
            weights[:] = np.eye(_STEREO, dtype=np.float32)[:, [alone]]
        else:
            weights[:, cancelled] = np.eye(_STEREO, dtype=np.float32)[:, [louder]]
            self._count_cancelled(cancelled, lengths)
        used = (weights == 1.0) @ lengths
        self.use.left_s += float(used[0])
        self.use.right_s += float(used[1])
        self.use.mix_s += float(lengths.sum() - used.sum())
        return weights

    def _count_cancelled(self, cancelled: np.ndarray, lengths: np.ndarray) -> None:
        self.use.cancelled_s += float(lengths[cancelled].sum())
        if cancelled.any() and self.use.cancelled_at_s is None:
            first = int(np.argmax(cancelled))
            self.use.cancelled_at_s = self._done / SAMPLE_RATE_HZ + float(lengths[:first].sum())


def _changing_channel(block: np.ndarray) -> int | None:
    """Return the channel that alone changes its level; None where both do, or none."""
    frames = block.shape[1] // _FRAME
    # Of the sound itself, the slow swell of low-frequency noise would look like words.
    sharpened = np.diff(block, axis=1, prepend=block[:, :1])
    framed = sharpened[:, : frames * _FRAME].reshape(_STEREO, frames, _FRAME)
    level_db = 10 * np.log10(np.mean(framed**2, axis=2) + 1e-10)
    low, high = np.percentile(level_db, (10, 98), axis=1)
    spread = high - low
    steadier = int(np.argmin(spread))
    is_alone = spread[steadier] < _STEADY_DB and spread[1 - steadier] > spread[steadier] + _STEADY_DB
    return 1 - steadier if is_alone else None


def _faded(weights: np.ndarray, samples: int, before: np.ndarray | None) -> np.ndarray:
    """Return weights for each sample, with ramps of 20 ms where they change."""
    steps = np.repeat(weights, _WINDOW, axis=1)[:, :samples]
    before = weights[:, :1] if before is None else before
    if (weights == before).all():
        return steps
    padded = np.concatenate([np.repeat(before, _FADE, axis=1), steps], axis=1)
    sums = np.cumsum(padded, axis=1, dtype=np.float64)
    return ((sums[:, _FADE:] - sums[:, :-_FADE]) / _FADE).astype(np.float32)


def _to_int16(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)
