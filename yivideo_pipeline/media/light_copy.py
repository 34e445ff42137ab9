"""Makes a small MP4 of a video that browsers can't play: H.264 and AAC, in time with the transcript.

Its sound is the one that was transcribed, whose clock is already right; its picture has 480 lines at most.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from yivideo_pipeline.errors.tree import UnreadableMedia
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio
from yivideo_pipeline.media.container import open_media
from yivideo_pipeline.media.probe import presentation_start_s
from yivideo_pipeline.storage.remote_paths import AnyPath

_MAX_HEIGHT = 480
_MAX_FRAMES_PER_S = 30
_TICKS_PER_S = 90_000
_ENCODER = {"preset": "ultrafast", "crf": "28", "g": "60"}
_MAX_FAILED_READS_IN_A_ROW = 1000


def write_light_copy(
    source: AnyPath, sound: Audio, target: Path, progress: Callable[[float], None] = lambda fraction: None
) -> None:
    """Write a copy of a video that every browser plays; damaged parts of its picture are left out.

    Args:
        source: The video.
        sound: Its sound as it was transcribed.
        target: The MP4 file.
        progress: Called with the fraction that is done, 0 to 1.

    Raises:
        UnreadableMedia: It has no picture, or none that can be decoded.
        MediaError: The file can't be opened, as from `container.open_media`.
    """
    with (
        open_media(source) as container,
        av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as copy,
    ):
        moving = (s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
        picture = next(moving, None)
        if picture is None or picture.codec_context is None:
            raise UnreadableMedia("The video has no picture that can be decoded", "Play its sound instead")
        picture.thread_type = "AUTO"
        writer = _Picture(copy, picture)
        voice = _Voice(copy, sound)
        start_s = presentation_start_s(container)
        for packet in _packets(container, picture):
            time_s = writer.write(packet, start_s)
            if time_s is not None:
                voice.write_until(time_s)
                progress(min(1.0, time_s / max(sound.duration_s, 0.1)))
        writer.flush()
        voice.write_until(float("inf"))


def _packets(container: InputContainer, picture: VideoStream) -> Iterator[Packet]:
    failed_reads = 0
    while failed_reads < _MAX_FAILED_READS_IN_A_ROW:
        try:
            for packet in container.demux(picture):
                failed_reads = 0
                yield packet
        except av.error.FFmpegError:
            failed_reads += 1  # the demuxer recovers from most damage when it is asked again
        else:
            return


class _Picture:
    """The picture decoded, made smaller and encoded as H.264."""

    def __init__(self, copy: OutputContainer, picture: VideoStream) -> None:
        self._copy = copy
        self._source = picture
        self._stream: VideoStream | None = None
        self._last_s = -1.0

    def write(self, packet: Packet, start_s: float) -> float | None:
        """Decode a packet and write its frames; return when the last one is shown, in seconds."""
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return None
        for frame in frames:
            self._add(frame, start_s)
        return self._last_s if self._last_s >= 0 else None

    def flush(self) -> None:
        """Write what the encoder still holds.

        Raises:
            UnreadableMedia: No frame could be decoded.
        """
        if self._stream is None:
            raise UnreadableMedia("The video's picture can't be decoded", "Play its sound instead")
        self._copy.mux(self._stream.encode(None))

    def _add(self, frame: VideoFrame, start_s: float) -> None:
        if frame.time is None:
            return
        time_s = frame.time - start_s
        if time_s < 0 or time_s < self._last_s + 0.9 / _MAX_FRAMES_PER_S:
            return
        small = self._shrink(frame)
        if self._stream is None:
            self._stream = self._copy.add_stream("libx264", rate=_MAX_FRAMES_PER_S, options=_ENCODER)
            self._stream.width, self._stream.height, self._stream.pix_fmt = (
                small.width,
                small.height,
                "yuv420p",
            )
            self._stream.codec_context.time_base = Fraction(1, _TICKS_PER_S)
        small.pts, small.time_base = round(time_s * _TICKS_PER_S), Fraction(1, _TICKS_PER_S)
        self._last_s = time_s
        self._copy.mux(self._stream.encode(small))

    def _shrink(self, frame: VideoFrame) -> VideoFrame:
        """Return a frame as it is to be seen: upright, with square pixels, and small."""
        if self._stream is not None and not frame.rotation:
            return frame.reformat(self._stream.width, self._stream.height, "yuv420p")
        height = min(_MAX_HEIGHT, frame.height)
        aspect = float(self._source.sample_aspect_ratio or 1)
        width = round(frame.width * aspect * height / frame.height)
        size = (max(2, width // 2 * 2), max(2, height // 2 * 2))
        if not frame.rotation:
            return frame.reformat(*size, "yuv420p")
        pixels = frame.reformat(*size, "rgb24").to_ndarray()
        turned = np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)), np.uint8)
        return VideoFrame.from_ndarray(turned, "rgb24").reformat(format="yuv420p")


class _Voice:
    """The transcribed sound, encoded as AAC while the picture is written, so that both lie side by side."""

    _BLOCK_S = 2.0

    def __init__(self, copy: OutputContainer, sound: Audio) -> None:
        self._copy = copy
        self._sound = sound
        self._stream = copy.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        self._done = 0

    def write_until(self, time_s: float) -> None:
        """Write the sound up to a time of the video, and a little more."""
        while self._done < len(self._sound.samples) and self._now_s <= time_s:
            block = self._sound.read(self._done, self._done + round(self._BLOCK_S * SAMPLE_RATE_HZ))
            frame = AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE_HZ
            frame.pts = round(self._now_s * SAMPLE_RATE_HZ)
            frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
            self._copy.mux(self._stream.encode(frame))
            self._done += len(block)
        if time_s == float("inf"):
            self._copy.mux(self._stream.encode(None))

    @property
    def _now_s(self) -> float:
        return self._done / SAMPLE_RATE_HZ + self._sound.offset_s
