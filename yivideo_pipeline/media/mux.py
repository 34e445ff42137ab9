"""Writes a copy of a video with subtitles as one more text track; nothing is decoded or encoded."""

import errno
import io
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import langcodes
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from yivideo_pipeline.errors.tree import MediaError
from yivideo_pipeline.media.container import open_media
from yivideo_pipeline.media.probe import presentation_start_s
from yivideo_pipeline.settings.languages import LANGUAGES, normalize_language

_FORMATS = {"mkv": "matroska", "mp4": "mp4"}
_KEPT = {"mkv": ("video", "audio", "subtitle", "attachment"), "mp4": ("video", "audio", "subtitle", "data")}
_TEXT_LENGTH_BYTES = 2


class NotMuxed(MediaError):
    """The container can't hold the video's tracks."""


class _Text(NamedTuple):
    """A cue as a packet, and when it is shown, in seconds of the video's timestamps."""

    packet: Packet
    at_s: Fraction


def mux_subtitles(video: Path, srt: bytes, target: Path, container: str, language: str) -> None:
    """Write a copy of a video with subtitles as a track; all tracks, chapters and tags of the video are kept.

    The copy appears whole or not at all.

    Args:
        video: The video; it stays as it is.
        srt: The subtitles as an SRT file.
        target: The copy.
        container: `mkv` or `mp4`.
        language: The tag of the subtitles' language.

    Raises:
        NotMuxed: The container can't hold one of the tracks.
        MediaError: The video can't be opened.
        OSError: The copy can't be written.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        with open_media(video) as source, av.open(part, "w", format=_FORMATS[container]) as output:
            _copy(source, output, srt, container, language)
        part.replace(target)
    except (av.error.FFmpegError, ValueError) as error:
        if getattr(error, "errno", None) in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EACCES,
            errno.EROFS,
            errno.EIO,
        ):
            raise
        raise NotMuxed(
            f"{container.upper()} can't hold a track of this video ({error})", "Choose mux: mkv, or none"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _copy(source: InputContainer, output: OutputContainer, srt: bytes, container: str, language: str) -> None:
    kept = [stream for stream in source.streams if stream.type in _KEPT[container]]
    tracks = {stream.index: _copy_track(stream, output) for stream in kept}
    with av.open(io.BytesIO(srt), "r", format="srt") as subtitles:
        track = _add_text_track(output, subtitles.streams.subtitles[0], container)
        track.metadata["language"] = langcodes.get(language).to_alpha3(variant="B")
        track.metadata["title"] = LANGUAGES.get(normalize_language(language), language).title()
        shift_ms = round(presentation_start_s(source) * 1000)
        shown = ((packet, packet.pts) for packet in subtitles.demux() if packet.pts is not None)
        waiting = deque(
            _Text(_text_packet(packet, pts + shift_ms, track, container), Fraction(pts + shift_ms, 1000))
            for packet, pts in shown
        )
        output.metadata.update(source.metadata)
        output.set_chapters(source.chapters())
        for packet in source.demux(kept):
            if packet.dts is None or packet.time_base is None:
                continue  # the mark at the end of a stream
            # In the order of time: players do not look for text at the end of the file.
            while waiting and waiting[0].at_s <= packet.dts * packet.time_base:
                output.mux(waiting.popleft().packet)
            packet.stream = tracks[packet.stream.index]
            output.mux(packet)
        output.mux([text.packet for text in waiting])


def _copy_track(stream: Stream, output: OutputContainer) -> Stream:
    track = output.add_stream_from_template(stream)
    track.metadata.update(stream.metadata)
    track.disposition = stream.disposition
    return track


def _add_text_track(output: OutputContainer, srt: SubtitleStream, container: str) -> Stream:
    return output.add_mux_stream("mov_text") if container == "mp4" else output.add_stream_from_template(srt)


def _text_packet(packet: Packet, pts: int, track: Stream, container: str) -> Packet:
    """Return a packet of SRT as the container has it; in MP4 the text's length stands before the text."""
    text = bytes(packet)
    written = Packet(len(text).to_bytes(_TEXT_LENGTH_BYTES) + text if container == "mp4" else text)
    written.pts = written.dts = pts
    written.duration, written.time_base, written.stream = packet.duration, packet.time_base, track
    return written
