"""What a style guide asks of the picture: its frame rate, and where a new shot begins.

Decoding every frame would cost as much as recognizing the speech. Key frames alone are decoded, and packets
are read for their sizes. Two key frames that look alike have no shot change between them. Where they differ,
an encoder that places key frames freely has placed the second at the change; elsewhere the change is a frame
that could not be told from the one before it, which makes a packet far larger than those around it. With
pictures that refer to later ones (B-frames) it may be found one or two frames late.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from yivideo_pipeline.media.container import open_media
from yivideo_pipeline.media.probe import presentation_start_s
from yivideo_pipeline.storage.remote_paths import AnyPath

SMALL_WIDTH, SMALL_HEIGHT = 32, 18
CHANGED_LEVELS = 12.0
"""Mean difference of two small grey pictures, of 255 levels, from which on they show different things."""
OUTSTANDING = 2.5
"""A shot's first packet is larger than those around it by this factor."""
AROUND_FRAMES = 12
LARGE_SHARE = 0.4
"""It has at least this share of a usual key frame's size, since it tells as much."""
FIXED_DISTANCE_SHARE = 0.95
FIXED_DISTANCES = 3
"""Where so many key frames come about as late as any, the clock has placed them; others what is seen."""
STEADY_SHARE = 0.999
"""At least this share of the frames stands at a constant distance where the frame rate is constant."""
MIN_FRAMES = 10


@dataclass(frozen=True)
class Picture:
    """The picture's clock and shots, on the video's own clock.

    Attributes:
        frame_rate: Frames a second; None where frames stand at various distances.
        start_s: When the first frame is shown.
        shots_s: When a new shot begins, in order.
    """

    frame_rate: Fraction | None
    start_s: float
    shots_s: tuple[float, ...] = ()


def look_at_picture(path: AnyPath) -> Picture | None:
    """Find frame rate and shots of a video; shots only where the frame rate is constant.

    Returns:
        None for a file without moving picture, or whose picture can't be decoded.

    Raises:
        MediaError: The file can't be opened, as from `container.open_media`.
    """
    with open_media(path) as container:
        moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not moving or moving[0].codec_context is None or moving[0].time_base is None:
            return None
        stream, start_s, tick_s = moving[0], presentation_start_s(container), moving[0].time_base
        try:
            frames, keys = _read_frames(container, stream)
        except av.error.FFmpegError:
            return None  # what is damaged is reported when the sound is decoded
        if not frames:
            return None
        first_s = float(frames[0].pts * tick_s) - start_s
        rate = _constant_rate(frames, stream.average_rate, tick_s)
        shots = _find_shots(frames, keys) if rate else []
        return Picture(rate, first_s, tuple(float(pts * tick_s) - start_s for pts in shots))


class Packed(NamedTuple):
    """A frame that is not decoded: its timestamp, the size of its packet, and whether it is a key frame."""

    pts: int
    size: int
    is_key: bool


def _read_frames(container: InputContainer, stream: VideoStream) -> tuple[list[Packed], dict[int, "Small"]]:
    """Return every frame in order, and the picture of each key frame by its timestamp."""
    stream.thread_type = ThreadType.SLICE  # threads by frames hold pictures back
    stream.codec_context.skip_frame = "NONKEY"
    frames: list[Packed] = []
    keys: dict[int, Small] = {}
    for packet in container.demux(stream):
        if packet.pts is not None:
            frames.append(Packed(packet.pts, packet.size, packet.is_keyframe))
        if packet.is_keyframe or packet.pts is None:  # the last, empty packet flushes the decoder
            keys |= {frame.pts: Small(frame) for frame in packet.decode() if frame.pts is not None}
    return sorted(frames), dict(sorted(keys.items()))


class Small:
    """A picture as a few grey points."""

    def __init__(self, frame: VideoFrame) -> None:
        small = frame.reformat(width=SMALL_WIDTH, height=SMALL_HEIGHT, format="gray")
        self._points = small.to_ndarray().astype("int16")

    def difference(self, other: "Small") -> float:
        """Return the mean difference of the points' levels, 0 to 255."""
        return float(abs(self._points - other._points).mean())


def _constant_rate(frames: Sequence[Packed], rate: Fraction | None, tick_s: Fraction) -> Fraction | None:
    """Return the frame rate where nearly all frames stand at one distance, give or take the clock's tick."""
    if not rate or len(frames) < MIN_FRAMES:
        return None
    usual = 1 / (rate * tick_s)
    steady = sum(abs(after.pts - before.pts - usual) <= 1 for before, after in pairwise(frames))
    return rate if steady >= STEADY_SHARE * (len(frames) - 1) else None


def _find_shots(frames: Sequence[Packed], keys: dict[int, Small]) -> list[int]:
    """Return when shots begin, in the stream's ticks."""
    key_sizes = sorted(frame.size for frame in frames if frame.is_key)
    least = LARGE_SHARE * key_sizes[len(key_sizes) // 2] if key_sizes else 0.0
    large = [
        frame.pts for place, frame in enumerate(frames) if frame.size >= least and _stands_out(frames, place)
    ]
    distances = [after - before for before, after in pairwise(keys)]
    fixed = FIXED_DISTANCE_SHARE * max(distances, default=0)
    has_clock = sum(distance >= fixed for distance in distances) >= FIXED_DISTANCES
    shots = [pts for pts in large if pts > max(keys, default=0)]  # no key frame follows that could tell
    for before, after in pairwise(keys):
        if keys[before].difference(keys[after]) >= CHANGED_LEVELS:
            shots += large[bisect_right(large, before) : bisect_right(large, after)]
            if after - before < fixed or not has_clock:
                shots.append(after)
    return sorted(shots)


def _stands_out(frames: Sequence[Packed], place: int) -> bool:
    """Return whether a packet is far larger than any around it; key frames are large by themselves."""
    if frames[place].is_key:
        return False
    around = (*frames[max(0, place - AROUND_FRAMES) : place], *frames[place + 1 : place + 1 + AROUND_FRAMES])
    usual = max((frame.size for frame in around if not frame.is_key), default=0)
    return frames[place].size > OUTSTANDING * usual
