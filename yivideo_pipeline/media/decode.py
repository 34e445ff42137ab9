"""From any audio stream to 16 kHz mono on disk, whatever the length and the damage."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet

from yivideo_pipeline.errors.tree import TruncatedMedia, UnreadableMedia
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.media.container import open_media
from yivideo_pipeline.media.probe import StreamInfo, presentation_start_s
from yivideo_pipeline.media.timeline import Timeline

_WRITE_BUFFER_BYTES = 1024 * 1024
_MAX_FAILED_READS_IN_A_ROW = 1000
_END_TOLERANCE_S = 1.0
_PROGRESS_STEP = 0.005
_TIMED_KINDS = ("audio", "video", "subtitle")
_DECLARE_DURATION = {"matroska", "mov", "flv", "asf", "flac"}
"""Containers whose headers say how long they are; PyAV's duration of others is an estimate."""


@dataclass(frozen=True)
class DecodedAudio:
    """The sound of a video, and what a person should know about it.

    `truncated_at_s` is where the file breaks off, on the video's own clock; None where it is whole.
    """

    audio: Audio
    warnings: tuple[str, ...]
    truncated_at_s: float | None = None


def decode_audio(
    source: Path, target: Path, stream: StreamInfo, progress: Callable[[float], None] | None = None
) -> DecodedAudio:
    """Decode one audio stream to a 16 kHz mono 16-bit WAV file, in time with the picture.

    Memory stays flat: packets go from disk to disk. Damaged packets are skipped, missing ones become
    silence, and of a file that breaks off all that can be read is used; the warnings say so.

    Args:
        source: The video.
        target: The WAV file, overwritten; the caller names it and removes it after an error.
        stream: One of `probe(source)`'s audio streams.
        progress: Told how much is done, 0 to 1.

    Raises:
        UnreadableMedia: there is no decoder for the stream, or nothing in it can be decoded.
        TruncatedMedia: the file breaks off before its first sound.
        MediaError: as `container.open_media` says.
        DiskError: the source may not be read, or its disk fails.
        OSError: the target can't be written.
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
        reading.explain_silence()
    offset_s = 0.0 if timeline.start_s is None else timeline.start_s - reading.start_s
    return DecodedAudio(Audio(target, offset_s), tuple(_warn(reading, timeline)), reading.truncated_at_s)


class _Reading:
    """One pass over a container, with what was met on the way.

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
        self._met_sound = False

    @property
    def end_s(self) -> float | None:
        """When the video ends by its header, with some tolerance."""
        return None if self._declared_s is None else self.start_s + self._declared_s + _END_TOLERANCE_S

    @property
    def fraction(self) -> float:
        """How much is read, 0 to 1; 0 where the length is unknown."""
        return min(1.0, (self.reached_s - self.start_s) / self._duration_s) if self._duration_s else 0.0

    @property
    def truncated_at_s(self) -> float | None:
        """Where the file broke off before the end that its header declares."""
        reached_s = self.reached_s - self.start_s
        is_short = self._declared_s is not None and reached_s < self._declared_s - _END_TOLERANCE_S
        return reached_s if is_short else None

    def packets(self) -> Iterator[Packet]:
        """Read every timed stream, so that a short audio track is not taken for a file that breaks off."""
        timed = [stream for stream in self._container.streams if stream.type in _TIMED_KINDS]
        failed_reads = 0
        while failed_reads < _MAX_FAILED_READS_IN_A_ROW:
            try:
                for packet in self._container.demux(timed):
                    failed_reads = 0
                    self._note_time(packet)
                    yield packet
            except av.error.FFmpegError:
                # The demuxer finds its way after most damage; asked again, it goes on behind it.
                failed_reads += 1
                self._note_damage()
            else:
                return

    def decode(self, packet: Packet, timeline: Timeline) -> None:
        """Decode a packet of the chosen track; one that can't be decoded is noted and skipped."""
        if packet.stream_index != self._track.index:
            return
        self._met_sound = self._met_sound or packet.size > 0
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            self._note_damage()
            return
        for frame in frames:
            timeline.add(frame)

    def explain_silence(self) -> None:
        """Raise if there is no sound although there should be; a track of zero length is fine."""
        if self.truncated_at_s is not None:
            raise TruncatedMedia("The file breaks off before its first sound", "Copy or download it again")
        if self._met_sound or self.damaged_at_s is not None:
            raise UnreadableMedia("Nothing in the audio can be decoded", "Copy or download the file again")

    def _note_time(self, packet: Packet) -> None:
        if packet.pts is not None and packet.time_base is not None:
            end = packet.pts + (packet.duration or 0)
            self.reached_s = max(self.reached_s, float(end * packet.time_base))

    def _note_damage(self) -> None:
        if self.damaged_at_s is None:
            self.damaged_at_s = self.reached_s - self.start_s


def _in_steps(progress: Callable[[float], None] | None) -> Callable[[float], None]:
    """Pass on a fraction only when it has grown by a step; a long video has millions of packets."""
    told = 0.0

    def report(fraction: float) -> None:
        nonlocal told
        if progress is not None and fraction >= told + _PROGRESS_STEP:
            told = fraction
            progress(fraction)

    return report


def _warn(reading: _Reading, timeline: Timeline) -> Iterator[str]:
    """Say what is wrong with the sound, a line each."""
    truncated_s = reading.truncated_at_s
    if truncated_s is not None:
        yield f"The file breaks off: from {truncated_s:.1f} s on the sound is missing"
    holes = [reading.damaged_at_s, _since(reading.start_s, timeline.first_gap_s)]
    hole_s = min((second for second in holes if second is not None), default=None)
    # The last packet before the break is often half a packet; the line above covers it.
    if hole_s is not None and (truncated_s is None or hole_s < truncated_s - _END_TOLERANCE_S):
        yield f"The sound is damaged or missing in places from {hole_s:.1f} s on; silence stands in for it"
    reset_s = _since(reading.start_s, timeline.first_reset_s)
    if reset_s is not None:
        yield f"The clock of the audio jumps at {reset_s:.1f} s: later times may be off"
    if not timeline.sample_count:
        yield "The audio track has no sound in it: its length is zero"


def _since(start_s: float, second: float | None) -> float | None:
    return None if second is None else second - start_s
