"""Makes small media files of any shape, good and bad, at run time."""

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

FRAME_SAMPLES = 1024
FRAMES_PER_SECOND = 10


@dataclass(frozen=True)
class Sound:
    """One audio track: float samples, shape (channels, n), in -1..1.

    `gaps` are (second, length in seconds): from that second on, timestamps are later by that length.
    """

    samples: np.ndarray
    rate_hz: int = 16_000
    layout: str = "mono"
    codec: str = "pcm_s16le"
    start_s: float = 0.0
    gaps: tuple[tuple[float, float], ...] = ()
    language: str | None = None
    title: str | None = None
    disposition: Disposition = Disposition.default


def tone(seconds: float, hz: float = 440, rate_hz: int = 16_000, level: float = 0.5) -> np.ndarray:
    """A sine, shape (1, n)."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * hz * times)).astype(np.float32)[None]


def beeps(seconds: float, at_s: list[float], rate_hz: int = 16_000) -> np.ndarray:
    """Silence with a beep of 50 ms at each of the seconds, shape (1, n)."""
    samples = np.zeros((1, round(seconds * rate_hz)), np.float32)
    for second in at_s:
        beep, start = tone(0.05, 1000, rate_hz), round(second * rate_hz)
        samples[:, start : start + beep.shape[1]] = beep
    return samples


def onsets_s(samples: np.ndarray, rate_hz: int = 16_000) -> list[float]:
    """When each beep starts, seconds, in int16 samples of shape (n,)."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 1000)
    first = np.flatnonzero(np.diff(loud, prepend=-rate_hz) > 0.04 * rate_hz)
    return [round(float(loud[i]) / rate_hz, 3) for i in first]


def write_media(path: Path, sounds: list[Sound], video_s: float | None = 1.0, brightness: int = 128) -> Path:
    """Write tracks, and a grey picture unless `video_s` is None, into the container of the suffix."""
    with av.open(str(path), "w") as output:
        picture = None
        if video_s is not None:
            picture = output.add_stream("flv" if path.suffix == ".flv" else "mpeg4", rate=FRAMES_PER_SECOND)
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        tracks = [_add_track(output, sound) for sound in sounds]
        packets = []
        for track, sound in zip(tracks, sounds, strict=True):
            packets += [p for frame in _sound_frames(sound) for p in track.encode(frame)] + track.encode(None)
        if picture is not None and video_s is not None:
            frames = _picture_frames(round(video_s * FRAMES_PER_SECOND), brightness)
            packets += [p for frame in frames for p in picture.encode(frame)] + picture.encode(None)
        output.start_encoding()
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            output.mux(packet)
    return path


def _add_track(output, sound: Sound):
    track = output.add_stream(sound.codec, rate=sound.rate_hz, layout=sound.layout)
    track.disposition = sound.disposition
    if sound.language:
        track.metadata["language"] = sound.language
    if sound.title:
        track.metadata["title"] = sound.title
    return track


def _sound_frames(sound: Sound):
    sample_format = (av.Codec(sound.codec, "w").audio_formats or ["s16"])[0]
    for start in range(0, sound.samples.shape[1], FRAME_SAMPLES):
        block = sound.samples[:, start : start + FRAME_SAMPLES].T.reshape(1, -1)
        second = start / sound.rate_hz
        late_s = sound.start_s + sum(length for at, length in sound.gaps if second >= at)
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=sound.layout)
        frame.sample_rate, frame.time_base = sound.rate_hz, Fraction(1, sound.rate_hz)
        frame.pts = start + round(late_s * sound.rate_hz)
        converter = av.AudioResampler(format=sample_format)
        yield from converter.resample(frame)


def _picture_frames(count: int, brightness: int):
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64), brightness, np.uint8), format="gray")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
        yield frame


def damage(path: Path, start: float, end: float) -> None:
    """Overwrite a part of a file, given as fractions of it, with noise."""
    content = bytearray(path.read_bytes())
    first, last = int(len(content) * start), int(len(content) * end)
    content[first:last] = np.random.default_rng(7).integers(0, 256, last - first, np.uint8).tobytes()
    path.write_bytes(content)


def cut(path: Path, keep: float) -> None:
    """Keep only the first part of a file, given as a fraction of it."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def set_bit_of_ts_stamp(path: Path, packet: int, bit: int) -> None:
    """Turn over one bit of the PTS of one sound packet in an MPEG transport stream."""
    content = bytearray(path.read_bytes())
    stamps = []
    for start in range(0, len(content), 188):
        head = start + 4 + (1 + content[start + 4] if content[start + 3] & 0x20 else 0)
        starts_pes = content[start + 1] & 0x40 and content[head : head + 3] == b"\0\0\1"
        if starts_pes and 0xC0 <= content[head + 3] <= 0xDF and content[head + 7] & 0x80:
            stamps.append(head + 9)
    low, position = bit % 15, stamps[packet] + (4, 2, 0)[bit // 15]  # 3, 15 and 15 bits, each before a marker
    content[position - (low >= 7)] ^= 1 << (low + 1) % 8
    path.write_bytes(content)


def set_bit_of_mkv_stamp(path: Path, packets: slice, bit: int) -> None:
    """Turn over one bit of the time of sound packets in a Matroska file, relative to their cluster."""
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as source:
        found = source.demux(source.streams.audio[0])
        blocks = [one.pos for one in found if one.pos is not None and one.size]
    for block in blocks[packets]:
        # A block is the track's number in one byte, then two bytes of time.
        content[block + 2 - bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def declare_flv_duration(path: Path, seconds: float) -> None:
    """Write another duration into the header of an FLV file."""
    content = bytearray(path.read_bytes())
    number = content.index(b"duration") + len(b"duration") + 1
    content[number : number + 8] = struct.pack(">d", seconds)
    path.write_bytes(content)


def write_silence(path: Path, seconds: float, rate_hz: int = 8_000) -> Path:
    """Write long silence in next to no time: FLAC keeps a whole block of it in a few bytes."""
    with av.open(str(path), "w") as output:
        track = output.add_stream("flac", rate=rate_hz, layout="mono")
        track.format = "s16"
        block = np.zeros((1, 4096), np.int16)
        for start in range(0, round(seconds * rate_hz), block.shape[1]):
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
            output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return path
