"""Tells whether the end of a file is missing, by what its container says about its size.

libavformat shortens the duration of many files to what is there, so that half a recording looks whole.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO

from yivideo_pipeline.storage.remote_paths import AnyPath, open_bytes

_MAX_CHUNKS = 10_000
_UNKNOWN_32 = 0x7FFF_0000
"""Programs that write into a pipe can't know the size: they leave 2 or 4 GB, or nearly."""
_UNKNOWN_64 = 1 << 60
_TOLERATED_BYTES = 1024
"""Some programs count the header or the padding wrongly."""
_OGG_HEADER_BYTES = 27
_LONGEST_OGG_PAGE = _OGG_HEADER_BYTES + 255 + 255 * 255
_PACK = b"\0\0\1\xba"
_LONGEST_PES = 6 + 0xFFFF
_TS_PACKETS = (188, 192, 204)
_TS_SYNC = 0x47
_TS_PROBED = 64
_XING_TAGS = (b"Xing", b"Info", b"VBRI")
_ID3_HEADER_BYTES = 10
_MP3_PROBED = 4096


def missing_bytes(path: AnyPath) -> int:
    """Return how many bytes a file should have beyond its end, at least; 0 where nothing tells.

    Raises:
        OSError: It can't be read.
    """
    with open_bytes(path) as file:
        return missing_bytes_of(file)


def missing_bytes_of(file: BinaryIO) -> int:
    """Return the same of an open file, whose position changes."""
    size = file.seek(0, os.SEEK_END)
    head = _read(file, 0, 16)
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        missing = _riff_end(file, size) - size
    elif head[:4] == b"riff":
        missing = _chunk_end(int.from_bytes(_read(file, 16, 8), "little"), _UNKNOWN_64) - size
    elif head[:4] == b"FORM":
        missing = 8 + _chunk_end(int.from_bytes(head[4:8]), _UNKNOWN_32) - size
    elif head[:4] == b"caff":
        missing = max(_caf_ends(file, size), default=0) - size
    elif head[4:8] == b"ftyp":
        missing = max(_box_ends(file, size), default=0) - size
    elif head[:4] == b"OggS":
        return _ogg_missing(file, size)
    elif head[:4] == _PACK:
        return _ps_missing(file, size)
    else:
        return _ts_missing(file, size)
    return missing if missing > _TOLERATED_BYTES else 0


def declares_frames(path: AnyPath) -> bool:
    """Return whether an MP3 file says in its first frame how many there are.

    Raises:
        OSError: It can't be read.
    """
    with open_bytes(path) as file:
        head = _read(file, 0, _ID3_HEADER_BYTES)
        start = 0
        if head[:3] == b"ID3":
            start = _ID3_HEADER_BYTES + sum((byte & 0x7F) << 7 * i for i, byte in enumerate(head[:5:-1]))
        probed = _read(file, start, _MP3_PROBED)
        return any(tag in probed for tag in _XING_TAGS)


def _read(file: BinaryIO, position: int, size: int) -> bytes:
    file.seek(position)
    return file.read(size)


def _chunk_end(size: int, unknown: int) -> int:
    return 0 if size >= unknown else size


def _riff_end(file: BinaryIO, size: int) -> int:
    """Return where the last RIFF chunk ends: long AVI files have several."""
    end = 0
    for _ in range(_MAX_CHUNKS):
        head = _read(file, end, 36)
        if head[:4] in (b"RF64", b"BW64"):
            length = _chunk_end(int.from_bytes(head[20:28], "little"), _UNKNOWN_64)
        elif head[:4] == b"RIFF":
            length = _chunk_end(int.from_bytes(head[4:8], "little"), _UNKNOWN_32)
        else:
            break
        if not length:
            return 0
        end += 8 + length + length % 2
        if end >= size:
            break
    return end


def _caf_ends(file: BinaryIO, size: int) -> Iterator[int]:
    position = 8
    for _ in range(_MAX_CHUNKS):
        length = int.from_bytes(_read(file, position + 4, 8), signed=True)
        if position + 12 > size or not 0 <= length < _UNKNOWN_64:
            return
        position += 12 + length
        yield position


def _box_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield where each box of an MP4 file ends (ISO/IEC 14496-12)."""
    position = 0
    for _ in range(_MAX_CHUNKS):
        head = _read(file, position, 16)
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        if position + 8 > size or not 8 <= length < _UNKNOWN_64 or not head[4:8].isalnum():
            return
        position += length
        yield position


def _ogg_missing(file: BinaryIO, size: int) -> int:
    """Return how much of the last page is missing (RFC 3533).

    A last page that is whole but not marked as the end proves nothing: recorders of voice messages forget it.
    """
    start = max(0, size - _LONGEST_OGG_PAGE)
    tail = _read(file, start, _LONGEST_OGG_PAGE)
    page = tail.rfind(b"OggS\0")
    if page < 0:
        return 0
    segments = tail[page + _OGG_HEADER_BYTES - 1] if page + _OGG_HEADER_BYTES <= len(tail) else 255
    lacing = tail[page + _OGG_HEADER_BYTES : page + _OGG_HEADER_BYTES + segments]
    whole = _OGG_HEADER_BYTES + segments + sum(lacing) + (segments - len(lacing))
    return max(0, page + whole - len(tail))


def _ps_missing(file: BinaryIO, size: int) -> int:
    """Return how much of the last packet of an MPEG program stream is missing (ISO/IEC 13818-1)."""
    tail = _read(file, max(0, size - 2 * _LONGEST_PES), 2 * _LONGEST_PES)
    position = tail.rfind(_PACK)
    is_mpeg2 = tail[position + 4 : position + 5] >= b"\x40"
    position += 14 + (tail[position + 13] & 7) if is_mpeg2 and position + 14 <= len(tail) else 12
    while tail[position : position + 3] == _PACK[:3] and tail[position + 3] > _PACK[3]:
        position += 6 + int.from_bytes(tail[position + 4 : position + 6])
    return max(0, position - len(tail))


def _ts_missing(file: BinaryIO, size: int) -> int:
    """Return how much of the last packet of an MPEG transport stream is missing."""
    probed = _read(file, 0, _TS_PROBED * max(_TS_PACKETS))
    for length in _TS_PACKETS:
        first = 4 if length == 192 else 0
        syncs = probed[first : _TS_PROBED * length : length]
        if len(syncs) > 2 and all(byte == _TS_SYNC for byte in syncs):
            rest = size % length
            starts_packet = rest <= first or _read(file, size - rest + first, 1) == bytes([_TS_SYNC])
            return length - rest if rest and starts_packet else 0
    return 0
