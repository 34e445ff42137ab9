"""Pictures of a video and of its sound: a poster frame, and the peaks of a waveform."""

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.media.container import open_media
from yivideo_pipeline.storage.remote_paths import AnyPath

_POSTER_POSITIONS = (0.1, 0.3, 0.5, 0.0)
_MIN_MEAN_LUMA = 32
_MAX_PACKETS_TO_A_FRAME = 300
_BLOCK_SAMPLES = 1 << 20


def poster_jpeg(path: AnyPath, width: int = 320) -> bytes | None:
    """Return a frame at about a tenth of the video, or later if that is black, as a JPEG.

    Args:
        path: The video.
        width: Of the picture in pixels; its height follows from the display's aspect ratio.

    Returns:
        None for a file without video, or whose video can't be decoded.

    Raises:
        MediaError: The file can't be opened, as from `container.open_media`.
    """
    with open_media(path) as container:
        moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not moving or moving[0].codec_context is None:
            return None
        chosen = None
        for frame in _candidates(container, moving[0]):
            chosen = chosen or frame
            if _mean_luma(frame) >= _MIN_MEAN_LUMA:
                chosen = frame
                break
        return None if chosen is None else _encode_jpeg(chosen, width, moving[0].sample_aspect_ratio)


def peaks(audio: Audio, bins: int) -> np.ndarray:
    """Return the lowest and highest sample of each of `bins` equal parts of the sound.

    Returns:
        float32, shape (bins, 2), minimum and maximum in -1..1; zeros where a part has no sample.
    """
    edges = np.linspace(0, len(audio.samples), bins + 1).astype(np.int64)
    found = np.zeros((bins, 2), np.int16)
    parts = np.flatnonzero(np.diff(edges))
    # As many parts at once as fill a block: each reading opens the file.
    at_once = max(1, _BLOCK_SAMPLES * bins // max(1, len(audio.samples)))
    for some in (parts[at : at + at_once] for at in range(0, len(parts), at_once)):
        first = edges[some[0]]
        block, starts = audio.read(first, edges[some[-1] + 1]), edges[some] - first
        found[some, 0] = np.minimum.reduceat(block, starts)
        found[some, 1] = np.maximum.reduceat(block, starts)
    return found.astype(np.float32) / 32768


def _candidates(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield key frames at a few places; a place that can't be reached is skipped."""
    duration = container.duration or 0
    for position in _POSTER_POSITIONS:
        try:
            container.seek((container.start_time or 0) + int(duration * position))
            frame = _next_frame(container, stream)
        except av.error.FFmpegError:
            # A poster is an ornament: damage is reported when the sound is decoded.
            continue
        if frame is not None:
            yield frame


def _next_frame(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    for count, packet in enumerate(container.demux(stream)):
        frames = packet.decode()
        if frames:
            return frames[0]
        if count >= _MAX_PACKETS_TO_A_FRAME:
            break
    return None


def _mean_luma(frame: VideoFrame) -> float:
    return float(frame.reformat(width=64, height=36, format="gray").to_ndarray().mean())


def _encode_jpeg(frame: VideoFrame, width: int, pixel_aspect: Fraction | None) -> bytes:
    """Encode a frame in the shape and orientation that a player shows."""
    shown_width = frame.width * (pixel_aspect or 1)
    quarter_turns = round(frame.rotation / 90) % 4
    aspect = shown_width / frame.height if quarter_turns % 2 == 0 else frame.height / shown_width
    upright = np.rot90(frame.to_ndarray(format="rgb24"), quarter_turns)
    height = max(2, round(width / aspect))
    picture = VideoFrame.from_ndarray(np.ascontiguousarray(upright, np.uint8), format="rgb24")
    encoder = av.VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    small = picture.reformat(width=width, height=height, format="yuvj420p")
    return b"".join(bytes(packet) for packet in [*encoder.encode(small), *encoder.encode(None)])
