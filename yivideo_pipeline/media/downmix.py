"""Any sound to 16 kHz mono, through libavfilter.

FFmpeg's own 5.1-to-mono matrix scales everything down until nothing can clip, which leaves the centre,
where films have their dialogue, 10.7 dB too low. Here the centre stays at full level and a limiter takes
the peaks that the sum may have.
"""

from collections.abc import Iterator

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.filter import Graph

from yivideo_pipeline.errors.tree import UnreadableMedia
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ

_CENTRE = "FC"
_SILENT_CHANNELS = {"LFE", "LFE2"}
_SIDE_WEIGHT = 0.5
_LIMITER = "limit=0.98:level=disabled:latency=enabled"


def describe_sound(frame: AudioFrame) -> tuple[str, str, int]:
    """What a converter is built for: a frame's sample format, channel layout and rate."""
    return frame.format.name, frame.layout.name, frame.sample_rate


class Downmix:
    """Converts frames of one format, layout and rate to 16 kHz mono 16-bit samples.

    The filters delay nothing: the first sample out belongs to the first sample in.

    Raises:
        UnreadableMedia: a layout that can't be mixed, such as 32 channels without a meaning.
    """

    def __init__(self, frame: AudioFrame) -> None:
        try:
            self._graph = _build_graph(frame)
        except av.error.FFmpegError as error:
            sound = f"{frame.layout.name} at {frame.sample_rate} Hz"
            raise UnreadableMedia(
                f"This sound can't be mixed to mono: {sound}", "Convert it to stereo"
            ) from error

    def convert(self, frame: AudioFrame | None) -> Iterator[np.ndarray]:
        """Yield the samples that are ready, int16, shape (n,); None for the frame ends the sound."""
        if frame is not None:
            # Its place in time is the caller's matter; the filters only count samples.
            frame.pts = None
        self._graph.push(frame)
        while True:
            try:
                converted = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield converted.to_ndarray().reshape(-1)


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
    nodes.append(graph.add("aformat", "sample_fmts=s16:channel_layouts=mono"))
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    return graph


def _mix(channels: list[str]) -> str:
    weights = {
        name: 1.0 if name == _CENTRE else _SIDE_WEIGHT for name in channels if name not in _SILENT_CHANNELS
    }
    return "+".join(f"{weight}*{name}" for name, weight in weights.items())
