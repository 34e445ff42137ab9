"""Reads subtitle files back, by other means than those that wrote them.

SRT, WebVTT and ASS are written through pysubs2 and read here by FFmpeg, which most players are built
on; TTML by an XML parser that knows its clock and nothing else of our writer.
"""

import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import av

from yivideo_pipeline.settings.subtitle_options import SubtitleFormat

_TTML = "{http://www.w3.org/ns/ttml}"
_ASS_FIELDS_BEFORE_TEXT = 8
_WORD_TIME = re.compile(r"<[\d:]+\.\d{3}>")
_KARAOKE = re.compile(r"\{\\k\d+\}")


@dataclass(frozen=True, slots=True)
class ReadCue:
    """A cue as a player sees it: times in milliseconds, lines joined by line breaks."""

    start_ms: int
    end_ms: int
    text: str


def read_cues(data: bytes, kind: SubtitleFormat) -> list[ReadCue]:
    """Read the cues of an SRT, WebVTT, ASS or TTML file.

    Raises:
        ValueError: it is not a file of this format.
    """
    try:
        return list(_READERS[kind](data))
    except (av.error.FFmpegError, ET.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"it can't be read as {kind.value.upper()} ({error})") from error


def read_words(data: bytes) -> list[dict[str, Any]]:
    """Read the words of a JSON file in WhisperX's shape, each with `word`, `start` and `end`.

    Raises:
        ValueError: it is not such a file.
    """
    try:
        return json.loads(data)["word_segments"]
    except (KeyError, TypeError) as error:
        raise ValueError("it has no list of words") from error


def _read_srt(data: bytes) -> Iterator[ReadCue]:
    return _demux(data, "srt", lambda text: text)


def _read_vtt(data: bytes) -> Iterator[ReadCue]:
    if not data.startswith(b"WEBVTT"):  # browsers insist on it, FFmpeg does not
        raise ValueError("it does not begin with WEBVTT")
    return _demux(data, "webvtt", lambda text: unescape(_WORD_TIME.sub("", text)))


def _read_ass(data: bytes) -> Iterator[ReadCue]:
    return _demux(data, "ass", _ass_text)


def _ass_text(line: str) -> str:
    return _KARAOKE.sub("", line.split(",", _ASS_FIELDS_BEFORE_TEXT)[-1]).replace("\\N", "\n")


def _demux(data: bytes, container: str, text_of: Callable[[str], str]) -> Iterator[ReadCue]:
    with av.open(io.BytesIO(data), "r", format=container) as file:
        for packet in file.demux():
            if packet.pts is None or packet.time_base is None:
                continue  # the mark at the end of a stream
            start, end = packet.pts, packet.pts + (packet.duration or 0)
            clock = [round(ticks * packet.time_base * 1000) for ticks in (start, end)]
            yield ReadCue(*clock, text_of(bytes(packet).decode("utf-8")))


def _read_ttml(data: bytes) -> Iterator[ReadCue]:
    for paragraph in ET.fromstring(data).iter(f"{_TTML}p"):
        begin, end = (_clock_ms(paragraph.get(name, "")) for name in ("begin", "end"))
        yield ReadCue(begin, end, _text_of(paragraph))


def _text_of(element: ET.Element) -> str:
    inside = "\n" if element.tag == f"{_TTML}br" else element.text or ""
    return inside + "".join(_text_of(child) + (child.tail or "") for child in element)


def _clock_ms(text: str) -> int:
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d)\.(\d{3})", text)
    if found is None:
        raise ValueError(f"{text!r} is not a time")
    hours, minutes, seconds, rest = map(int, found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest


_READERS: dict[SubtitleFormat, Callable[[bytes], Iterator[ReadCue]]] = {
    SubtitleFormat.SRT: _read_srt,
    SubtitleFormat.VTT: _read_vtt,
    SubtitleFormat.ASS: _read_ass,
    SubtitleFormat.TTML: _read_ttml,
    SubtitleFormat.IMSC: _read_ttml,
    SubtitleFormat.EBU_TT_D: _read_ttml,
    SubtitleFormat.WORDS_VTT: _read_vtt,
    SubtitleFormat.KARAOKE_ASS: _read_ass,
}
