"""Opens one media file, or one object of object storage, and nothing else, whatever the file says.

A playlist renamed `.mp4` must not make us read another file or call a server. There are four locks, each
sufficient by itself: libavformat gets bytes but no name, so that no name is read as a protocol or a pattern;
only demuxers that read one self-contained file are allowed; no protocol is allowed; and every request to open
something else is refused.
"""

import errno
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import BinaryIO, NoReturn

import av
from av.container import InputContainer

from yivideo_pipeline.errors.tree import (
    DiskError,
    MediaError,
    RefusedMedia,
    TruncatedMedia,
    UnreadableMedia,
)
from yivideo_pipeline.media.ending import missing_bytes_of
from yivideo_pipeline.storage.remote_paths import AnyPath, open_bytes

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

_KINDS = (
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a disk's device"),
)


class _Bytes:
    """A file's bytes without its name."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell: Callable[[], int] = file.tell

    def seek(self, offset: int, whence: int) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return -1  # a damaged index may point before the beginning, which is no fault of the disk

    def read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            reason = error.strerror or error
            raise DiskError(f"Reading fails: {reason}", "Check the disk or network share") from error


@contextmanager
def open_media(path: AnyPath) -> Generator[InputContainer]:
    """Open a media file for reading; no other file and no socket is ever opened.

    Raises:
        UnreadableMedia: It does not exist, is not a regular file, is empty, or is not media.
        RefusedMedia: It is a playlist or another format that points elsewhere.
        TruncatedMedia: It is an MP4 or Matroska file that ends before anything can be read.
        DiskError: The permission to read it is missing, or the disk fails.
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
def _open_regular(path: AnyPath) -> Generator[BinaryIO]:
    """Open a non-empty regular file or object, unbuffered; a pipe or device could block or never end."""
    try:
        found = path.stat()
        require_regular(found.st_mode)
        file = open_bytes(path, buffering=0)
    except FileNotFoundError as error:
        raise UnreadableMedia("There is no such file", "Check the path") from error
    except PermissionError as error:
        raise DiskError("The file may not be read", "Grant read permission on it and its folder") from error
    except OSError as error:
        reason = error.strerror or error
        raise DiskError(f"The file can't be opened: {reason}", "Check path and disk") from error
    with file:
        if found.st_size == 0:
            raise UnreadableMedia("The file is empty", "Copy or download it again")
        yield file


def require_regular(mode: int) -> None:
    """Check by its mode (of `os.stat`) that something is a file: other things could block or never end.

    Raises:
        UnreadableMedia: It is something else, which is named.
    """
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise UnreadableMedia("This is a folder, not a video", "Name a file in it")
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
    raise UnreadableMedia(f"This is {kind}, not a file", "Copy its content to a file, and name that")


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise RefusedMedia(
        f"The file asks to open another one: {url[:200]!r}",
        "Give the media file itself",
    )


def _explain(file: BinaryIO, error: av.error.FFmpegError) -> MediaError:
    """Return the error that says why libavformat could not open these bytes."""
    file.seek(0)
    head = file.read(_SNIFFED_BYTES)
    if (
        head.startswith(_EBML_MAGIC)
        or missing_bytes_of(file)
        or (head[4:8] == b"ftyp" and not _has_index(file))
    ):
        return TruncatedMedia(
            "The file breaks off before anything can be read", "Copy, download or record it again"
        )
    if head.strip().lower().startswith(_PLAYLIST_STARTS) or _DASH_ROOT in head.lower():
        return RefusedMedia("This is a playlist: it points to other files", "Give the media file itself")
    # libavformat's error for a demuxer that is not on the list.
    if isinstance(error, av.error.ArgumentError):
        return RefusedMedia("This is a format that yivideo does not read", "Convert it to MP4 or MKV")
    return UnreadableMedia(
        "This is no video or audio file that can be read", "Convert it to MP4 or MKV, or copy it again"
    )


def _has_index(file: BinaryIO) -> bool:
    """Return whether an MP4 file has its index, a `moov` box at the top level (ISO/IEC 14496-12)."""
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
