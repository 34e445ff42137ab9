"""Decodes any audio stream to 16 kHz mono on disk, whatever its length and its damage.

Packets are read one by one (`_Reading`), mixed to mono (`media.downmix`), written without gaps
(`media.sound_writer`), and moved apart afterwards where the clock says that sound is missing (`media.clock`).
"""

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from os import PathLike
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from yivideo_pipeline.errors.tree import TruncatedMedia, UnreadableMedia
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio, write_wav
from yivideo_pipeline.media.clock import (
    CONTINUED,
    IGNORED,
    SILENCE,
    Evidence,
    PictureClock,
    Placement,
    Repair,
    place,
)
from yivideo_pipeline.media.container import open_media
from yivideo_pipeline.media.downmix import ChannelUse
from yivideo_pipeline.media.ending import declares_frames, missing_bytes
from yivideo_pipeline.media.probe import (
    StreamInfo,
    choose_audio_stream,
    plausible_duration_s,
    presentation_start_s,
    probe,
)
from yivideo_pipeline.media.sound_writer import SoundWriter, move_apart
from yivideo_pipeline.storage.remote_paths import AnyPath, to_path

AudioInput = np.ndarray | str | PathLike[str]
"""Mono 16 kHz samples, floats in -1..1, shape (n,); or the path or URL of an audio or video file."""

_WRITE_BUFFER_BYTES = 1024 * 1024
_MAX_FAILED_READS_IN_A_ROW = 1000
_END_TOLERANCE_S = 1.0
_PROGRESS_STEP = 0.005
_TIMED_KINDS = ("audio", "video", "subtitle")
_LEAP_S = 10.0
_FIRST_STAMPS = 6
_DECLARE_DURATION = {"matroska", "mov", "flv", "asf", "flac", "aiff", "au", "tta", "rm", "wv", "ape"}
"""Containers whose headers declare the duration; for others libavformat estimates it."""
_FRAMES_GIVE_THEIR_SIZE = {"mp3", "aac"}
_END_ANYWHERE = {"mpegts", "wav", "w64", "caf", "aiff", "au"}
"""Recordings of broadcasts, and files whose last packet is merely shorter where their size is unknown."""
_WITHOUT_CLOCK = {
    "aac", "loas", "mp3", "ac3", "eac3", "dts", "dtshd", "truehd", "mlp", "amr", "amrnb", "amrwb"
}  # fmt: skip
"""Raw streams have no timestamps: libavformat makes them up, by the sample rate of the beginning."""


@dataclass(frozen=True)
class DecodedAudio:
    """The sound of a video, and what the user should know about it.

    Attributes:
        audio: The sound.
        warnings: What is wrong with it, a line each.
        truncated_at_s: Where the file is truncated, on the video's own clock; None where it is complete.
        repairs: What was done about timestamps that do not follow from each other.
        channels: Which channels it is made of.
        as_heard: Whether the sound is what was heard while it was decoded: nothing was moved afterwards.
    """

    audio: Audio
    warnings: tuple[str, ...]
    truncated_at_s: float | None = None
    repairs: tuple[Repair, ...] = ()
    channels: ChannelUse = field(default_factory=ChannelUse)
    as_heard: bool = True

    @property
    def silence_s(self) -> float:
        """Seconds of silence that stand for missing sound."""
        return sum(repair.length_s for repair in self.repairs if repair.action == SILENCE)


def decode_audio(
    source: AnyPath,
    target: Path,
    stream: StreamInfo,
    progress: Callable[[float], None] | None = None,
    hear: Callable[[np.ndarray], None] = lambda samples: None,
) -> DecodedAudio:
    """Decode one audio stream to a 16 kHz mono 16-bit WAV file, in time with the picture.

    Memory stays flat: packets go from disk to disk. Damaged packets are skipped, missing ones become
    silence, and a truncated file is used as far as it can be read; the warnings say so.

    Args:
        source: The video.
        target: The WAV file. It is overwritten; after an error the caller removes it.
        stream: One of `probe(source)`'s audio streams.
        progress: Called with the fraction that is done, 0 to 1.
        hear: Called with the samples in order, int16, shape (n,), as soon as they are decoded.

    Raises:
        UnreadableMedia: There is no decoder for the stream, or nothing in it can be decoded.
        TruncatedMedia: The file ends before its first sound.
        MediaError: As from `container.open_media`.
        DiskError: The source may not be read, or its disk fails.
        OSError: The target can't be written.
    """
    with open_media(source) as container, target.open("wb", buffering=_WRITE_BUFFER_BYTES) as file:
        reading = _Reading(container, stream, source)
        writer = SoundWriter(file, source.stat().st_size, hear)
        report = _in_steps(progress)
        for packet in reading.packets(writer.see_picture):
            reading.decode(packet, writer)
            report(reading.fraction)
        writer.close()
    if not writer.length:
        reading.raise_for_silence()
    reading.note_end(writer)
    placement = place(writer.runs, reading.evidence(writer.picture))
    moved = move_apart(target, writer.runs, placement)
    start_s = reading.corrected_start_s(placement)
    offset_s = 0.0 if placement.start_s is None else placement.start_s - start_s
    repairs = placement.repairs_from(start_s)
    channels = writer.mixer.use
    warnings = (*_warnings(reading, repairs, is_empty=not writer.length), *channels.warnings())
    audio = Audio(target, offset_s)
    return DecodedAudio(audio, warnings, reading.truncated_at_s, repairs, channels, as_heard=not moved)


@contextmanager
def open_sound(
    source: AudioInput, language: str = "auto", audio_track: str = "auto"
) -> Generator[DecodedAudio]:
    """Lend the sound of a file or an array as a WAV file that is deleted afterwards.

    Args:
        source: The samples, or the path of a file.
        language: Of several audio streams, one in this language is preferred.
        audio_track: The number or language of the audio stream that is asked for.

    Raises:
        UnreadableMedia: The array does not hold mono float samples.
        YivideoError: The file can't be decoded; see `probe`, `choose_audio_stream` and `decode_audio`.
    """
    with tempfile.TemporaryDirectory(prefix="yivideo-") as folder:
        target = Path(folder) / "audio.wav"
        if isinstance(source, np.ndarray):
            yield DecodedAudio(write_wav(target, _to_int16(source)), ())
        else:
            path = to_path(source)
            yield decode_audio(path, target, choose_audio_stream(probe(path), language, audio_track))


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

    `start_s` and `reached_s` are on the container's clock, `damaged_at_s` and `truncated_at_s` on the
    video's own.
    """

    def __init__(self, container: InputContainer, stream: StreamInfo, source: AnyPath) -> None:
        self._container = container
        self._source = source
        self._track = container.streams[stream.index]
        if self._track.codec_context is None:
            raise UnreadableMedia("The audio's codec can't be decoded here", "Convert it to AAC or FLAC")
        self._kinds = set(container.format.name.split(","))
        declared_s = None if container.duration is None else container.duration / av.time_base
        self._duration_s = plausible_duration_s(declared_s, source.stat().st_size)
        self._declared_s = self._read_declared_duration()
        self.start_s = presentation_start_s(container)
        self.reached_s = self.start_s
        self.damaged_at_s: float | None = None
        self._leap_s: float | None = None
        # In floating point, since fractions would cost a tenth of the whole.
        self._ticks_s = {stream.index: float(stream.time_base or 0) for stream in container.streams}
        heard_or_seen = (stream for stream in container.streams if stream.type in ("audio", "video"))
        self._first_stamps: dict[int, list[float]] = {stream.index: [] for stream in heard_or_seen}
        self._has_clock = not self._kinds & _WITHOUT_CLOCK
        self._first_rate = 0
        self._found_sound = False
        self._last_is_broken = False
        self._last_frame = b""

    @property
    def fraction(self) -> float:
        """The fraction that has been read; 0 where the length is unknown."""
        return min(1.0, (self.reached_s - self.start_s) / self._duration_s) if self._duration_s else 0.0

    @property
    def truncated_at_s(self) -> float | None:
        """Where the file ended before the end that its header, its size or its last packet tells of."""
        reached_s = self.reached_s - self.start_s
        return reached_s if self._is_truncated(reached_s) else None

    def packets(self, see_picture: Callable[[float], None]) -> Iterator[Packet]:
        """Read every timed stream, so that a short audio track is not taken for a truncated file.

        Args:
            see_picture: Called with each timestamp of the picture.
        """
        timed = [stream for stream in self._container.streams if stream.type in _TIMED_KINDS]
        picture = _moving_picture(self._container)
        failed_reads = 0
        while failed_reads < _MAX_FAILED_READS_IN_A_ROW:
            try:
                for packet in self._container.demux(timed):
                    failed_reads = 0
                    self._note_time(packet)
                    stamp = packet.pts if packet.dts is None else packet.dts
                    if picture and packet.stream_index == picture.index and stamp is not None:
                        see_picture(stamp * self._ticks_s[picture.index])
                    yield packet
            except av.error.FFmpegError:
                # The demuxer recovers from most damage: asked again, it continues behind it.
                failed_reads += 1
                self._note_damage()
            else:
                return

    def decode(self, packet: Packet, writer: "SoundWriter") -> None:
        """Decode a packet of the chosen track; one that can't be decoded is noted and skipped."""
        if packet.stream_index != self._track.index:
            return
        self._found_sound = self._found_sound or packet.size > 0
        if packet.size and self._kinds & _FRAMES_GIVE_THEIR_SIZE:
            self._last_frame = bytes(packet)
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            self._last_is_broken = True
            self._note_damage()
            if not self._has_clock:
                writer.repeat_silence()
            return
        if packet.size:
            self._last_is_broken = packet.is_corrupt
        for frame in frames:
            self._has_clock = self._has_clock and not self._counts_in_other_samples(frame)
            writer.add(frame, frame.time if self._has_clock or not writer.runs else None)

    def _counts_in_other_samples(self, frame: AudioFrame) -> bool:
        """Return whether timestamps count samples of the rate at the beginning, which is not the frame's."""
        self._first_rate = self._first_rate or frame.sample_rate
        return frame.sample_rate != self._first_rate and self._track.time_base == Fraction(
            1, self._first_rate
        )

    def note_end(self, writer: "SoundWriter") -> None:
        """Note how far the sound goes, where there is no clock that tells."""
        if not self._has_clock and writer.runs:
            self.reached_s = writer.runs[0].stamp_s + writer.length / SAMPLE_RATE_HZ

    def evidence(self, picture: PictureClock) -> Evidence:
        """Return what the file tells of its clock, beside the sound's timestamps."""
        declared_end_s = None if self._declared_s is None else self.start_s + self._declared_s
        ends = [second for second in (declared_end_s, picture.end_s) if second is not None]
        return Evidence(self._declared_s, max(ends, default=None), picture.end_s, picture.walked_s)

    def corrected_start_s(self, placement: Placement) -> float:
        """Return when the video starts, which a wrong timestamp at the beginning may hide."""
        others = {index: s for index, s in self._first_stamps.items() if s and index != self._track.index}
        wrong = any(min(stamps) < _first_plausible(stamps) for stamps in others.values())
        if placement.start_s is None or not (wrong or placement.corrected_start):
            return self.start_s
        return min([placement.start_s, *map(_first_plausible, others.values())])

    def raise_for_silence(self) -> None:
        """Raise an error if there is no sound although there should be; a track of zero length is fine."""
        if self.truncated_at_s is not None:
            raise TruncatedMedia("The file breaks off before its first sound", "Copy or download it again")
        if self._found_sound or self.damaged_at_s is not None:
            raise UnreadableMedia("Nothing in the audio can be decoded", "Copy or download the file again")

    def _read_declared_duration(self) -> float | None:
        if self._kinds & _DECLARE_DURATION or ("mp3" in self._kinds and declares_frames(self._source)):
            return self._duration_s
        picture = _moving_picture(self._container)
        if "avi" in self._kinds and picture and picture.frames and picture.average_rate:
            return float(picture.frames / picture.average_rate)
        return None

    def _is_truncated(self, reached_s: float) -> bool:
        declared_s = reached_s if self._declared_s is None else self._declared_s
        if reached_s < declared_s - _END_TOLERANCE_S:
            return True
        is_whole = self._declared_s is not None and reached_s < declared_s + _END_TOLERANCE_S
        if is_whole and "mov" not in self._kinds:
            return False  # what is missing is behind the sound, such as the index of an AVI file
        return (not is_whole and self._ends_in_a_frame()) or missing_bytes(self._source) > 0

    def _ends_in_a_frame(self) -> bool:
        """Return whether the last frame of the sound is incomplete; tags behind it are none."""
        codec = self._track.codec_context
        if codec and self._kinds & _FRAMES_GIVE_THEIR_SIZE:
            is_frame = self._last_frame[:1] == b"\xff"
            return is_frame and not CodecContext.create(codec.codec.name, "r").parse(self._last_frame)
        return self._last_is_broken and not self._kinds & _END_ANYWHERE

    def _note_time(self, packet: Packet) -> None:
        if packet.pts is None:
            return
        tick_s = self._ticks_s[packet.stream_index]
        stamp_s = packet.pts * tick_s
        stamps = self._first_stamps.get(packet.stream_index)
        if stamps is not None and len(stamps) < _FIRST_STAMPS:
            stamps.append(stamp_s)
        end_s = stamp_s + (packet.duration or 0) * tick_s
        if end_s > self.reached_s + _LEAP_S and (self._leap_s is None or abs(end_s - self._leap_s) > _LEAP_S):
            self._leap_s = end_s  # a single timestamp may be wrong: the next one has to confirm it
            return
        self._leap_s = None
        self.reached_s = max(self.reached_s, end_s)

    def _note_damage(self) -> None:
        if self.damaged_at_s is None:
            self.damaged_at_s = self.reached_s - self.start_s


def _moving_picture(container: InputContainer) -> VideoStream | None:
    moving = (s for s in container.streams.video if not s.disposition & Disposition.attached_pic)
    return next(moving, None)


def _first_plausible(stamps: list[float]) -> float:
    """Return the earliest of a stream's first timestamps, unless it lies far from all others."""
    ordered = sorted(stamps)
    if len(ordered) < _FIRST_STAMPS:
        return ordered[0]
    step_s = ordered[1] - ordered[0]
    is_wrong = step_s > _END_TOLERANCE_S and ordered[-1] - ordered[1] < step_s / 2
    return ordered[1] if is_wrong else ordered[0]


def _in_steps(progress: Callable[[float], None] | None) -> Callable[[float], None]:
    """Report a fraction only when it has grown by a step; a long video has millions of packets."""
    reported = 0.0

    def report(fraction: float) -> None:
        nonlocal reported
        if progress is not None and fraction >= reported + _PROGRESS_STEP:
            reported = fraction
            progress(fraction)

    return report


def _warnings(reading: _Reading, repairs: tuple[Repair, ...], *, is_empty: bool) -> Iterator[str]:
    """Yield what is wrong with the sound, a line each."""
    first = {repair.action: repair.at_s for repair in reversed(repairs)}
    truncated_s = reading.truncated_at_s
    if truncated_s is not None:
        yield f"The file breaks off: the sound is missing from {truncated_s:.1f} s on"
    holes = [reading.damaged_at_s, first.get(SILENCE)]
    hole_s = min((second for second in holes if second is not None), default=None)
    # The last packet before the end is often incomplete; the line above covers it.
    if hole_s is not None and (truncated_s is None or hole_s < truncated_s - _END_TOLERANCE_S):
        yield f"The sound is damaged or missing in places from {hole_s:.1f} s on and replaced by silence"
    if IGNORED in first:
        yield f"Wrong timestamps were ignored, the first at {first[IGNORED]:.1f} s"
    if CONTINUED in first:
        yield f"The clock of the audio jumps at {first[CONTINUED]:.1f} s: later times may be off"
    if is_empty:
        yield "The audio track has no sound in it: its length is zero"
