"""Decodes any audio stream to 16 kHz mono on disk, whatever its length and its damage.

Packets are read one by one (`_Reading`), placed at the times that their timestamps name (`Timeline`), and
mixed to mono by libavfilter (`Downmix`).
"""

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.filter import Graph
from av.packet import Packet

from yivideo_pipeline.errors.tree import TruncatedMedia, UnreadableMedia
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, WAV_HEADER_BYTES, Audio, wav_header, write_wav
from yivideo_pipeline.media.container import open_media
from yivideo_pipeline.media.probe import StreamInfo, choose_audio_stream, presentation_start_s, probe

AudioInput = np.ndarray | str | PathLike[str]
"""Mono 16 kHz samples, floats in -1..1, shape (n,); or the path of an audio or video file."""

_WRITE_BUFFER_BYTES = 1024 * 1024
_MAX_FAILED_READS_IN_A_ROW = 1000
_END_TOLERANCE_S = 1.0
_PROGRESS_STEP = 0.005
_TIMED_KINDS = ("audio", "video", "subtitle")
_DECLARE_DURATION = {"matroska", "mov", "flv", "asf", "flac"}
"""Containers whose headers declare the duration; for others PyAV estimates it."""

_TOLERATED_DRIFT_S = 0.1
_MAX_OVERLAP_S = 1.0
_MAX_UNDECLARED_GAP_S = 3600.0

_CENTRE = "FC"
_SILENT_CHANNELS = {"LFE", "LFE2"}
_SIDE_WEIGHT = 0.5
_LIMITER = "limit=0.98:level=disabled:latency=enabled"


@dataclass(frozen=True)
class DecodedAudio:
    """The sound of a video, and what the user should know about it.

    `truncated_at_s` is where the file is truncated, on the video's own clock; None where it is complete.
    """

    audio: Audio
    warnings: tuple[str, ...]
    truncated_at_s: float | None = None


def decode_audio(
    source: Path, target: Path, stream: StreamInfo, progress: Callable[[float], None] | None = None
) -> DecodedAudio:
    """Decode one audio stream to a 16 kHz mono 16-bit WAV file, in time with the picture.

    Memory stays flat: packets go from disk to disk. Damaged packets are skipped, missing ones become
    silence, and a truncated file is used as far as it can be read; the warnings say so.

    Args:
        source: The video.
        target: The WAV file. It is overwritten; after an error the caller removes it.
        stream: One of `probe(source)`'s audio streams.
        progress: Called with the fraction that is done, 0 to 1.

    Raises:
        UnreadableMedia: There is no decoder for the stream, or nothing in it can be decoded.
        TruncatedMedia: The file ends before its first sound.
        MediaError: As from `container.open_media`.
        DiskError: The source may not be read, or its disk fails.
        OSError: The target can't be written.
    """
    with open_media(source) as container, target.open("wb", buffering=_WRITE_BUFFER_BYTES) as file:
        reading = _Reading(container, stream)
        timeline = Timeline(file, reading.end_s)
        report = _in_steps(progress)
        for packet in reading.packets():
            reading.decode(packet, timeline)
            report(reading.fraction)
        timeline.close()
    if not timeline.sample_count:
        reading.raise_for_silence()
    offset_s = 0.0 if timeline.start_s is None else timeline.start_s - reading.start_s
    return DecodedAudio(Audio(target, offset_s), tuple(_warnings(reading, timeline)), reading.truncated_at_s)


@contextmanager
def open_sound(source: AudioInput, language: str = "auto") -> Generator[DecodedAudio]:
    """Lend the sound of a file or an array as a WAV file that is deleted afterwards.

    Args:
        source: The samples, or the path of a file.
        language: Of several audio streams, one in this language is preferred.

    Raises:
        UnreadableMedia: The array does not hold mono float samples.
        YivideoError: The file can't be decoded; see `probe`, `choose_audio_stream` and `decode_audio`.
    """
    with tempfile.TemporaryDirectory(prefix="yivideo-") as folder:
        target = Path(folder) / "audio.wav"
        if isinstance(source, np.ndarray):
            yield DecodedAudio(write_wav(target, _to_int16(source)), ())
        else:
            path = Path(source)
            yield decode_audio(path, target, choose_audio_stream(probe(path), language))


def _to_int16(samples: np.ndarray) -> np.ndarray:
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise UnreadableMedia(
            f"The array has the shape {samples.shape} and type {samples.dtype}, and is not mono sound",
            "Give float samples in -1..1 at 16 kHz, of shape (n,)",
        )
    if not np.isfinite(samples).all():
        raise UnreadableMedia("The array has samples that are not finite", "Remove NaN and infinite values")
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


class _Reading:
    """One pass over a container, and what was found on the way.

    `start_s`, `end_s` and `reached_s` are on the container's clock, `damaged_at_s` and `truncated_at_s`
    on the video's own.
    """

    def __init__(self, container: InputContainer, stream: StreamInfo) -> None:
        self._container = container
        self._track = container.streams[stream.index]
        if self._track.codec_context is None:
            raise UnreadableMedia("The audio's codec can't be decoded here", "Convert it to AAC or FLAC")
        self._duration_s = None if container.duration is None else container.duration / av.time_base
        if _DECLARE_DURATION.isdisjoint(container.format.name.split(",")):
            self._declared_s = None
        else:
            self._declared_s = self._duration_s
        self.start_s = presentation_start_s(container)
        self.reached_s = self.start_s
        self.damaged_at_s: float | None = None
        self._found_sound = False

    @property
    def end_s(self) -> float | None:
        """When the video ends according to its header, with some tolerance."""
        return None if self._declared_s is None else self.start_s + self._declared_s + _END_TOLERANCE_S

    @property
    def fraction(self) -> float:
        """The fraction that has been read; 0 where the length is unknown."""
        return min(1.0, (self.reached_s - self.start_s) / self._duration_s) if self._duration_s else 0.0

    @property
    def truncated_at_s(self) -> float | None:
        """Where the file ended before the end that its header declares."""
        reached_s = self.reached_s - self.start_s
        is_short = self._declared_s is not None and reached_s < self._declared_s - _END_TOLERANCE_S
        return reached_s if is_short else None

    def packets(self) -> Iterator[Packet]:
        """Read every timed stream, so that a short audio track is not taken for a truncated file."""
        timed = [stream for stream in self._container.streams if stream.type in _TIMED_KINDS]
        failed_reads = 0
        while failed_reads < _MAX_FAILED_READS_IN_A_ROW:
            try:
                for packet in self._container.demux(timed):
                    failed_reads = 0
                    self._note_time(packet)
                    yield packet
            except av.error.FFmpegError:
                # The demuxer recovers from most damage: asked again, it continues behind it.
                failed_reads += 1
                self._note_damage()
            else:
                return

    def decode(self, packet: Packet, timeline: "Timeline") -> None:
        """Decode a packet of the chosen track; one that can't be decoded is noted and skipped."""
        if packet.stream_index != self._track.index:
            return
        self._found_sound = self._found_sound or packet.size > 0
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            self._note_damage()
            return
        for frame in frames:
            timeline.add(frame)

    def raise_for_silence(self) -> None:
        """Raise an error if there is no sound although there should be; a track of zero length is fine."""
        if self.truncated_at_s is not None:
            raise TruncatedMedia("The file breaks off before its first sound", "Copy or download it again")
        if self._found_sound or self.damaged_at_s is not None:
            raise UnreadableMedia("Nothing in the audio can be decoded", "Copy or download the file again")

    def _note_time(self, packet: Packet) -> None:
        if packet.pts is not None and packet.time_base is not None:
            end = packet.pts + (packet.duration or 0)
            self.reached_s = max(self.reached_s, float(end * packet.time_base))

    def _note_damage(self) -> None:
        if self.damaged_at_s is None:
            self.damaged_at_s = self.reached_s - self.start_s


class Timeline:
    """Writes decoded frames to a WAV file, in time with the container's clock.

    Consecutive frames are written as they come. Where the clock has run ahead of the sound by more than
    0.1 s (packets are missing), silence fills the gap; where it is behind by up to 1 s (frames overlap), the
    later frame wins. So all later words stay in time. A larger step back, or one beyond the end of the file,
    is a clock that was reset: the sound continues without a gap.

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
        """Write one decoded frame where its timestamp says, or after the last frame where it has none."""
        time_s = frame.time
        if self.start_s is None:
            self.start_s = self._origin_s = self._next_s = time_s or 0.0
        drift_s = 0.0 if time_s is None else time_s - self._next_s
        if abs(drift_s) > _TOLERATED_DRIFT_S:
            self._end_run()
            self._move(drift_s)
        if self._downmix is None or self._format != _describe_sound(frame):
            self._end_run()
            self._downmix, self._format = Downmix(frame), _describe_sound(frame)
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

    def _write(self, downmix: "Downmix", frame: AudioFrame | None) -> None:
        for samples in downmix.convert(frame):
            self._file.write(samples.astype("<i2", copy=False).tobytes())
            self._position += len(samples)
            self._length = max(self._length, self._position)


class Downmix:
    """Converts frames of one format, layout and rate to 16 kHz mono 16-bit samples.

    FFmpeg's own 5.1-to-mono matrix scales everything down until nothing can clip, which leaves the centre,
    where films have their dialogue, 10.7 dB too low. Here the centre stays at full level, and a limiter takes
    the peaks of the sum. The filters cause no delay: the first sample out belongs to the first sample in.

    Raises:
        UnreadableMedia: The layout can't be mixed, such as 32 channels without a meaning.
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
        """Yield the samples that are ready, int16, shape (n,); without a frame the sound ends."""
        if frame is not None:
            # The caller places it in time; the filters only count samples.
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


def _in_steps(progress: Callable[[float], None] | None) -> Callable[[float], None]:
    """Report a fraction only when it has grown by a step; a long video has millions of packets."""
    reported = 0.0

    def report(fraction: float) -> None:
        nonlocal reported
        if progress is not None and fraction >= reported + _PROGRESS_STEP:
            reported = fraction
            progress(fraction)

    return report


def _warnings(reading: _Reading, timeline: Timeline) -> Iterator[str]:
    """Yield what is wrong with the sound, a line each."""
    truncated_s = reading.truncated_at_s
    if truncated_s is not None:
        yield f"The file breaks off: the sound is missing from {truncated_s:.1f} s on"
    holes = [reading.damaged_at_s, _since(reading.start_s, timeline.first_gap_s)]
    hole_s = min((second for second in holes if second is not None), default=None)
    # The last packet before the end is often incomplete; the line above covers it.
    if hole_s is not None and (truncated_s is None or hole_s < truncated_s - _END_TOLERANCE_S):
        yield f"The sound is damaged or missing in places from {hole_s:.1f} s on and replaced by silence"
    reset_s = _since(reading.start_s, timeline.first_reset_s)
    if reset_s is not None:
        yield f"The clock of the audio jumps at {reset_s:.1f} s: later times may be off"
    if not timeline.sample_count:
        yield "The audio track has no sound in it: its length is zero"


def _since(start_s: float, second: float | None) -> float | None:
    return None if second is None else second - start_s


def _describe_sound(frame: AudioFrame) -> tuple[str, str, int]:
    """Return what a downmix is built for: a frame's sample format, channel layout and rate."""
    return frame.format.name, frame.layout.name, frame.sample_rate
