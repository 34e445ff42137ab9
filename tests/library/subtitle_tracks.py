"""Makes videos with embedded subtitle tracks."""

from fractions import Fraction
from pathlib import Path

import av
from av.stream import Disposition
from av.subtitles.codeccontext import SubtitleCodecContext

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "harbour-15s.mp4"

_STYLES = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def add_track(
    target: Path,
    codec: str = "subrip",
    language: str | None = None,
    title: str | None = None,
    disposition: Disposition = Disposition.default,
    spoken: str | None = None,
) -> Path:
    """Write the sample's sound, tagged as `spoken`, into a new file, with a track of subtitles beside it."""
    with av.open(str(SAMPLE)) as source, av.open(str(target), "w") as output:
        audio = source.streams.audio[0]
        sound = output.add_stream_from_template(audio)
        if spoken:
            sound.metadata["language"] = spoken
        track = output.add_stream(codec)
        track.disposition = disposition
        if language:
            track.metadata["language"] = language
        if title:
            track.metadata["title"] = title
        if codec != "dvdsub":
            assert isinstance(track.codec_context, SubtitleCodecContext)
            track.codec_context.subtitle_header = _STYLES
        output.start_encoding()
        packet = av.Packet(b"Ships lie in the harbour.")
        packet.stream, packet.time_base = track, Fraction(1, 1000)
        packet.pts = packet.dts = 100
        packet.duration = 2000
        output.mux(packet)
        for packet in source.demux(audio):
            if packet.dts is not None:
                packet.stream = sound
                output.mux(packet)
    return target
