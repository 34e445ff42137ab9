"""What a media file holds: its container, its streams, the audio stream to transcribe, its content's hash."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Literal

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from pydantic import BaseModel, ConfigDict

from yivideo_pipeline.errors.tree import ConfigValidationError, NoAudioStream
from yivideo_pipeline.media.container import open_media
from yivideo_pipeline.media.track_names import is_side_track
from yivideo_pipeline.settings.languages import normalize_language, split_languages
from yivideo_pipeline.storage.remote_paths import AnyPath, open_bytes

StreamKind = Literal["video", "audio", "subtitle", "data"]

_HASH_CHUNK_BYTES = 4 * 1024 * 1024

AUTO = "auto"
SIDE_FLAGS = (
    Disposition.comment
    | Disposition.visual_impaired
    | Disposition.descriptions
    | Disposition.karaoke
    | Disposition.lyrics
    | Disposition.clean_effects
    | Disposition.non_diegetic
    | Disposition.dependent
)
"""Flags of tracks that do not hold what the programme itself says."""
_PROGRAM = re.compile(r"handler|iso media|core media|gpac|mainconcept|apple|l-smash|\bvide|twitch|\x00", re.I)

_LEAST_BYTES_PER_S = 16
_SECONDS_OF_ANY_FILE = 3600.0
"""FLAC packs silence into 30 bytes a second, speech codecs speech into 50."""

_KINDS: dict[str, StreamKind] = {"video": "video", "audio": "audio", "subtitle": "subtitle"}


class StreamInfo(BaseModel):
    """One stream of a container.

    `codec` is `unknown` where PyAV has no decoder for it. `comment` is whether a flag says that this is not
    what the programme itself says. `start_s` is on the video's own clock, which starts where the first stream
    starts.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    index: int
    kind: StreamKind
    codec: str
    language: str | None = None
    default: bool = False
    forced: bool = False
    comment: bool = False
    title: str | None = None
    channels: int | None = None
    channel_layout: str | None = None
    sample_rate_hz: int | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    start_s: float = 0.0
    duration_s: float | None = None

    @property
    def is_side_track(self) -> bool:
        """Whether flag, title or language say that this is a commentary, an audio description or the like."""
        return self.comment or is_side_track(self.title, self.language)


class MediaInfo(BaseModel):
    """One media file. `duration_s` is what the container declares, or PyAV's estimate; None if impossible.

    What a newer version of the program has noted besides is left out when it is read.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    container: str
    duration_s: float | None
    size_bytes: int
    bit_rate: int | None
    streams: tuple[StreamInfo, ...]
    warnings: tuple[str, ...] = ()

    @property
    def audio_streams(self) -> tuple[StreamInfo, ...]:
        """The streams with sound, in the file's order."""
        return tuple(stream for stream in self.streams if stream.kind == "audio")

    @property
    def video_stream(self) -> StreamInfo | None:
        """The first moving picture; cover art does not count."""
        return next((stream for stream in self.streams if stream.kind == "video"), None)


def probe(path: AnyPath) -> MediaInfo:
    """Read a file's headers, and a few seconds of it where they leave questions open.

    Raises:
        MediaError: As from `container.open_media`.
        DiskError: The file may not be read, or the disk fails.
    """
    with open_media(path) as container:
        start_s, size_bytes = presentation_start_s(container), path.stat().st_size
        streams = tuple(_describe(stream, start_s) for stream in container.streams)
        declared_s = None if container.duration is None else container.duration / av.time_base
        return MediaInfo(
            container=container.format.name,
            duration_s=plausible_duration_s(declared_s, size_bytes),
            size_bytes=size_bytes,
            bit_rate=container.bit_rate or None,
            streams=streams,
            warnings=tuple(_warn(streams, declared_s, size_bytes)),
        )


def plausible_duration_s(declared_s: float | None, size_bytes: int) -> float | None:
    """Return a declared duration; None where a file of this size can't hold that much sound."""
    return None if declared_s is None or declared_s > longest_duration_s(size_bytes) else declared_s


def longest_duration_s(size_bytes: int) -> float:
    """Return how many seconds of sound a file of this size can hold at most."""
    return max(_SECONDS_OF_ANY_FILE, size_bytes / _LEAST_BYTES_PER_S)


def choose_audio_stream(info: MediaInfo, language: str, track: str = AUTO) -> StreamInfo:
    """Choose the audio stream to transcribe.

    Its language counts first, then the default flag, the number of channels, the file's order. Streams that
    can't be decoded come last, commentaries, audio descriptions and the like just before them.

    Args:
        info: The file.
        language: A code in any ISO 639 form, several with commas between them, or `auto` for no preference.
        track: What the user asks for: the number of an audio track, the first being 1; a language, of which
            the track must be; or `auto`.

    Raises:
        NoAudioStream: The file has no sound.
        ConfigValidationError: It has no such track.
    """
    if not info.audio_streams:
        raise NoAudioStream("The file has no audio track", "There is nothing to transcribe in it")
    wanted = [] if language == AUTO else [normalize_language(one) for one in split_languages(language)]

    def rank(stream: StreamInfo) -> tuple[bool, bool, bool, bool, int, int]:
        return (
            stream.codec != "unknown",
            not stream.is_side_track,
            stream.language is not None and normalize_language(stream.language) in wanted,
            stream.default,
            stream.channels or 0,
            -stream.index,
        )

    return max(_asked_for(info.audio_streams, track), key=rank)


def describe_tracks(info: MediaInfo, chosen: StreamInfo) -> str | None:
    """Return which of several audio tracks was taken and which others there are; None if there is one."""
    tracks = info.audio_streams
    if len(tracks) <= 1:
        return None
    names = [_name_track(number, stream) for number, stream in enumerate(tracks, 1)]
    number = [stream.index for stream in tracks].index(chosen.index)
    others = "; ".join(name for place, name in enumerate(names) if place != number)
    return f"Audio track {names[number]} is taken; there is also {others}"


def _asked_for(tracks: tuple[StreamInfo, ...], track: str) -> Sequence[StreamInfo]:
    if track == AUTO:
        return tracks
    if track.isdecimal():
        found = tracks[int(track) - 1 : int(track)] if int(track) else ()
    else:
        language = normalize_language(track)
        found = tuple(one for one in tracks if one.language and normalize_language(one.language) == language)
    if not found:
        names = "; ".join(_name_track(number, stream) for number, stream in enumerate(tracks, 1))
        asked = f"no audio track {track}" if track.isdecimal() else f"no audio track in {track}"
        # No fault of the file: it is not quarantined for it.
        raise ConfigValidationError(f"There is {asked}", f"The file has {names}")
    return found


def _name_track(number: int, stream: StreamInfo) -> str:
    facts = [stream.language, stream.title and repr(stream.title)]
    if stream.comment:
        facts.append("flagged as a commentary or description")
    shown = ", ".join(fact for fact in facts if fact)
    return f"{number} ({shown})" if shown else str(number)


def content_hash(path: AnyPath, progress: Callable[[float], None] | None = None) -> str:
    """Return the SHA-256 of the whole file, as hexadecimal digits: the identity of a video's content.

    A sample of it would not do: two recordings may differ in one minute only.

    Args:
        path: The file.
        progress: Called with the fraction that is done, 0 to 1.

    Raises:
        OSError: The file can't be read.
    """
    digest = hashlib.sha256()
    with open_bytes(path) as file:
        size = path.stat().st_size
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
            if progress:
                progress(min(1.0, file.tell() / size))
    return digest.hexdigest()


def presentation_start_s(container: InputContainer) -> float:
    """Return when the video starts on its timestamps' clock; players show this moment as 0:00."""
    return 0.0 if container.start_time is None else container.start_time / av.time_base


def _describe(stream: Stream, presentation_s: float) -> StreamInfo:
    # PyAV gives no codec context where it has no decoder; every codec field hangs on it.
    codec = stream.codec_context
    kind = _KINDS.get(stream.type, "data")
    if stream.disposition & Disposition.attached_pic:
        kind = "data"
    sound = codec if isinstance(codec, AudioCodecContext) else None
    picture = codec if isinstance(codec, VideoCodecContext) else None
    start_s = _seconds(stream.start_time, stream.time_base)
    title = _title_of(stream)
    return StreamInfo(
        index=stream.index,
        kind=kind,
        codec=codec.codec.canonical_name if codec else "unknown",
        language=_known(stream.language),
        default=bool(stream.disposition & Disposition.default),
        forced=bool(stream.disposition & Disposition.forced),
        comment=bool(stream.disposition & SIDE_FLAGS),
        title=title,
        channels=sound.channels if sound else None,
        channel_layout=sound.layout.name if sound else None,
        sample_rate_hz=sound.sample_rate if sound else None,
        width=picture.width if picture else None,
        height=picture.height if picture else None,
        frame_rate=float(stream.average_rate) if picture and stream.average_rate else None,
        start_s=0.0 if start_s is None else start_s - presentation_s,
        duration_s=_seconds(stream.duration, stream.time_base),
    )


def _title_of(stream: Stream) -> str | None:
    """Return a track's name; MP4 files have it as the handler's, where most programs write their own."""
    handler = stream.metadata.get("handler_name", "")
    named = "" if _PROGRAM.search(handler) else handler
    return stream.metadata.get("title") or stream.metadata.get("name") or named or None


def _known(language: str | None) -> str | None:
    return None if language in (None, "", "und") else language


def _seconds(ticks: int | None, time_base: Fraction | None) -> float | None:
    return None if ticks is None or time_base is None else float(ticks * time_base)


def _warn(streams: tuple[StreamInfo, ...], declared_s: float | None, size_bytes: int) -> Iterator[str]:
    for stream in streams:
        if stream.kind in ("audio", "video") and stream.codec == "unknown":
            yield f"Stream {stream.index} ({stream.kind}) has a codec that can't be decoded here"
    if declared_s is None:
        yield "The file does not say how long it is"
    elif plausible_duration_s(declared_s, size_bytes) is None:
        yield (
            f"The header says {declared_s / 3600:,.0f} hours, which {size_bytes:,} bytes can't hold:"
            " that is ignored"
        )
