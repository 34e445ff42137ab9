"""What a media file holds: its container and its streams."""

import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from pydantic import BaseModel, ConfigDict

from yivideo_pipeline.errors.tree import (
    DiskError,
    MediaError,
    NoAudioStream,
    RefusedMedia,
    TruncatedMedia,
    UnreadableMedia,
)

# PART media/container.py: Opens one media file and nothing else, whatever the file says.
#
# A playlist renamed `.mp4` must not make us read another file or call a server. Four locks, each enough
# by itself: libavformat gets bytes but no name, so that no name is read as a protocol or a pattern; only
# demuxers that read one self-contained file are allowed; no protocol is allowed; and every wish to open
# something further is refused.

_DEMUXERS = (
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi,flv,live_flv,kux,asf,mpegts,mpeg,mpegvideo,ogg,mxf,gxf,nut,rm,"
    "ivr,dv,wtv,nsv,nuv,swf,ivf,av1,obu,h264,hevc,vvc,m4v,vc1,dhav,pva,ty,lxf,amv,bink,smk,roq,thp,"
    "wav,w64,mp3,aac,flac,ac3,eac3,ac4,dts,dtshd,truehd,mlp,loas,latm,amr,amrnb,amrwb,aiff,au,caf,ape,wv,tta,"
    "tak,mpc,mpc8,voc,qcp,gsm,sox,xwma,oma,spdif,dsf,iff,shn,ircam,nistsphere"
)
"""Demuxers of containers and raw streams that hold their data themselves."""

_OPTIONS = {
    "format_whitelist": _DEMUXERS,
    "protocol_whitelist": "none",
    "enable_drefs": "0",
    "use_absolute_path": "0",
}

_READ_BYTES = 256 * 1024
_MAX_BOXES = 10_000
_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_PLAYLIST_STARTS = (b"#extm3u", b"ffconcat", b"[playlist]", b"[reference]", b"rtsptext", b"v=0")
_DASH_ROOT = b"<mpd"
_SNIFFED_BYTES = 1024


class _Bytes:
    """A file's bytes without its name."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek: Callable[[int, int], int] = file.seek
        self.tell: Callable[[], int] = file.tell

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise DiskError(f"Reading fails: {error.strerror}", "Check the disk or network share") from error


@contextmanager
def open_media(path: Path) -> Generator[InputContainer]:
    """Open a media file for reading; no other file and no socket is ever opened.

    Raises:
        UnreadableMedia: it isn't there, is no regular file, is empty, or is no media.
        RefusedMedia: a playlist or another format that points elsewhere.
        TruncatedMedia: an MP4 or Matroska file that ends before anything can be read.
        DiskError: it may not be read, or the disk fails.
    """
    with _open_regular(path) as file:
        try:
            container = av.open(
                _Bytes(file),
                mode="r",
                container_options=_OPTIONS,
                metadata_errors="replace",
                buffer_size=_READ_BYTES,
                io_open=_refuse,
            )
        except av.error.FFmpegError as error:
            raise _explain(file, error) from error
        with container:
            yield container


@contextmanager
def _open_regular(path: Path) -> Generator[BinaryIO]:
    """Open a non-empty regular file, unbuffered; a pipe or device could block or never end."""
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise UnreadableMedia("This is a folder, not a video", "Name a file in it")
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableMedia("This is a pipe or a device, not a file", "Copy its content to a file")
        file = path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise UnreadableMedia("There is no such file", "Check the path") from error
    except PermissionError as error:
        raise DiskError("The file may not be read", "Grant read permission on it and its folder") from error
    except OSError as error:
        raise DiskError(f"The file can't be opened: {error.strerror}", "Check path and disk") from error
    with file:
        if found.st_size == 0:
            raise UnreadableMedia("The file is empty", "Copy or download it again")
        yield file


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise RefusedMedia(
        f"The file asks to open another one: {url[:200]!r}",
        "Give the media file itself",
    )


def _explain(file: BinaryIO, error: av.error.FFmpegError) -> MediaError:
    """Say why libavformat could not open these bytes."""
    file.seek(0)
    head = file.read(_SNIFFED_BYTES)
    if (head[4:8] == b"ftyp" and not _has_index(file)) or head.startswith(_EBML_MAGIC):
        return TruncatedMedia(
            "The file breaks off before anything can be read", "Copy, download or record it again"
        )
    if head.strip().lower().startswith(_PLAYLIST_STARTS) or _DASH_ROOT in head.lower():
        return RefusedMedia("This is a playlist: it points to other files", "Give the media file itself")
    # libavformat's answer for a demuxer that is not on the list.
    if isinstance(error, av.error.ArgumentError):
        return RefusedMedia("This is a format that yivideo does not read", "Convert it to MP4 or MKV")
    return UnreadableMedia(
        "This is no video or audio file that can be read", "Convert it to MP4 or MKV, or copy it again"
    )


def _has_index(file: BinaryIO) -> bool:
    """Whether an MP4 file has its index, a `moov` box at the top level (ISO/IEC 14496-12)."""
    position = 0
    for _ in range(_MAX_BOXES):
        file.seek(position)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4]), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16])
        if kind == b"moov":
            return True
        if size < 8:
            return False
        position += size
    return False


StreamKind = Literal["video", "audio", "subtitle", "data"]

_KINDS: dict[str, StreamKind] = {"video": "video", "audio": "audio", "subtitle": "subtitle"}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StreamInfo(_Frozen):
    """One stream of a container.

    `codec` is `unknown` where PyAV has no decoder for it. `comment` marks a commentary or a description
    for the blind: sound that is not the programme's own. `start_s` is on the video's own clock, which
    starts where the first stream starts.
    """

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


class MediaInfo(_Frozen):
    """One media file. `duration_s` is what the container declares, or PyAV's estimate."""

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


def probe(path: Path) -> MediaInfo:
    """Read a file's headers, and a few seconds of it where they leave questions open.

    Raises:
        MediaError: of the tree in `errors.tree`, as `container.open_media` says.
        DiskError: the file may not be read, or the disk fails.
    """
    with open_media(path) as container:
        start_s = presentation_start_s(container)
        streams = tuple(_describe(stream, start_s) for stream in container.streams)
        duration_s = None if container.duration is None else container.duration / av.time_base
        return MediaInfo(
            container=container.format.name,
            duration_s=duration_s,
            size_bytes=path.stat().st_size,
            bit_rate=container.bit_rate or None,
            streams=streams,
            warnings=_warn(streams, duration_s),
        )


def presentation_start_s(container: InputContainer) -> float:
    """When the video starts on its timestamps' clock; players show this moment as 0:00."""
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
    return StreamInfo(
        index=stream.index,
        kind=kind,
        codec=codec.codec.canonical_name if codec else "unknown",
        language=_known(stream.language),
        default=bool(stream.disposition & Disposition.default),
        forced=bool(stream.disposition & Disposition.forced),
        comment=bool(stream.disposition & (Disposition.comment | Disposition.visual_impaired)),
        title=stream.metadata.get("title") or None,
        channels=sound.channels if sound else None,
        channel_layout=sound.layout.name if sound else None,
        sample_rate_hz=sound.sample_rate if sound else None,
        width=picture.width if picture else None,
        height=picture.height if picture else None,
        frame_rate=float(stream.average_rate) if picture and stream.average_rate else None,
        start_s=0.0 if start_s is None else start_s - presentation_s,
        duration_s=_seconds(stream.duration, stream.time_base),
    )


def _known(language: str | None) -> str | None:
    return None if language in (None, "", "und") else language


def _seconds(ticks: int | None, time_base: Fraction | None) -> float | None:
    return None if ticks is None or time_base is None else float(ticks * time_base)


def _warn(streams: tuple[StreamInfo, ...], duration_s: float | None) -> tuple[str, ...]:
    undecodable = [s for s in streams if s.kind in ("audio", "video") and s.codec == "unknown"]
    warnings = [f"Stream {s.index} ({s.kind}) has a codec that can't be decoded here" for s in undecodable]
    if duration_s is None:
        warnings.append("The file does not say how long it is")
    return tuple(warnings)


# PART media/languages.py: Language codes as containers write them, brought to one form.

_FORMS = (
    "af afr|am amh|ar ara|az aze|be bel|bg bul|bn ben|bs bos|ca cat|cs ces cze|cy cym wel|da dan|"
    "de deu ger|el ell gre|en eng|es spa|et est|eu eus baq|fa fas per|fi fin|fr fra fre|gl glg|gu guj|"
    "he heb iw|hi hin|hr hrv scr|hu hun|hy hye arm|id ind in|is isl ice|it ita|ja jpn|jv jav jw|"
    "ka kat geo|kk kaz|km khm|kn kan|ko kor|la lat|lo lao|lt lit|lv lav|mk mkd mac|ml mal|mn mon|"
    "mr mar|ms msa may zsm|my mya bur|ne nep|nl nld dut|no nor nb nob|nn nno|pa pan|pl pol|ps pus|"
    "pt por|ro ron rum|ru rus|sd snd|si sin|sk slk slo|sl slv|so som|sq sqi alb|sr srp scc|su sun|"
    "sv swe|sw swa|ta tam|te tel|tg tgk|th tha|tl tgl fil|tr tur|tt tat|uk ukr|ur urd|uz uzb|vi vie|"
    "yi yid ji|yo yor|yue|zh zho chi cmn"
)
"""Per language: its ISO 639-1 code, then its ISO 639-2 (T and B), 639-3 and withdrawn forms."""

_SHORT = {form: forms.split()[0] for forms in _FORMS.split("|") for form in forms.split()}


def normalize_language(code: str) -> str:
    """Bring a code to its shortest form: `eng`, `EN` and `en-GB` all become `en`.

    A code that the table lacks comes back in lower case, without its region.
    """
    primary = code.strip().lower().replace("_", "-").split("-")[0]
    return _SHORT.get(primary, primary)


# PART media/select.py: Which of a video's audio streams is transcribed.


def choose_audio_stream(info: MediaInfo, language: str) -> StreamInfo:
    """Choose by language, then the default flag, then the number of channels, then the file's order.

    What can't be decoded comes last, before it commentaries and descriptions for the blind.

    Args:
        info: The file.
        language: A code in any ISO 639 form, or `auto` for no preference.

    Raises:
        NoAudioStream: the file has no sound.
    """
    if not info.audio_streams:
        raise NoAudioStream("The file has no audio track", "There is nothing to transcribe in it")
    wanted = None if language == "auto" else normalize_language(language)

    def rank(stream: StreamInfo) -> tuple[bool, bool, bool, bool, int, int]:
        return (
            stream.codec != "unknown",
            not _is_commentary(stream),
            stream.language is not None and normalize_language(stream.language) == wanted,
            stream.default,
            stream.channels or 0,
            -stream.index,
        )

    return max(info.audio_streams, key=rank)


def _is_commentary(stream: StreamInfo) -> bool:
    # Many files say so in the title alone.
    return stream.comment or "commentary" in (stream.title or "").lower()
