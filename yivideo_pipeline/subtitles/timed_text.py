"""SRT, WebVTT and ASS, through pysubs2.

pysubs2 lays the files out; two things are ours. Its clocks stop at 99 h 59 min (SRT, WebVTT) and
9 h 59 min (ASS), so each format here writes its own. And it has no way to say that text is text:
what a player would take for markup is neutralised here, with WebVTT's own escapes, else by an
invisible U+2060 WORD JOINER in the middle of the mark, which players show as nothing.
"""

import io
import re
from collections.abc import Callable, Sequence

from pysubs2 import Color, SSAEvent, SSAFile, SSAStyle
from pysubs2.formats.base import FormatBase
from pysubs2.formats.subrip import SubripFormat
from pysubs2.formats.substation import SubstationFormat
from pysubs2.formats.webvtt import WebVTTFormat
from pysubs2.time import ms_to_times

from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import Cue

WORD_JOINER = "\u2060"

_SRT_TAG = re.compile(r"<(?=\s*/?\s*[A-Za-z!?])")
_CLOCK = re.compile(r"(?<=:\d)(?=[.,]\d)|(?<=:\d\d)(?=[.,]\d)")
_ASS_BRACES = str.maketrans("{}", "｛｝")
_PLAY_RES = {"PlayResX": "1920", "PlayResY": "1080"}


class _Srt(SubripFormat):
    @staticmethod
    def ms_to_timestamp(ms: int) -> str:
        hours, minutes, seconds, rest = ms_to_times(ms)
        return f"{hours:02d}:{minutes:02d}:{seconds:02d},{rest:03d}"


class _Vtt(WebVTTFormat):
    @staticmethod
    def ms_to_timestamp(ms: int) -> str:
        return _Srt.ms_to_timestamp(ms).replace(",", ".")


class _Ass(SubstationFormat):
    @staticmethod
    def ms_to_timestamp(requested_ms: int) -> str:
        hours, minutes, seconds, rest = ms_to_times((requested_ms + 5) // 10 * 10)
        return f"{hours}:{minutes:02d}:{seconds:02d}.{rest // 10:02d}"


def render_srt(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """SubRip: numbered cues, exact milliseconds."""
    return _render(_Srt, "srt", _collect(cues, _escape_srt), keep_ssa_tags=True)


def render_vtt(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """WebVTT: its header, cues with hours always written, `&`, `<` and `>` escaped."""
    return _render(_Vtt, "vtt", _collect(cues, _escape_vtt), keep_ssa_tags=True)


def render_ass(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Advanced SubStation Alpha, with one style: white, outlined, at the bottom of a 1080p picture.

    Its clock has hundredths of a second; both ends are rounded alike, so no cue overlaps the next.
    Braces become full-width ones, since no player agrees with another on how to escape them.
    """
    subs = _collect(cues, _escape_ass)
    subs.info.update(_PLAY_RES)
    if title:
        subs.info["Title"] = " ".join(title.split())
    subs.styles["Default"] = SSAStyle(
        fontsize=54, outline=3, shadow=1, marginl=96, marginr=96, marginv=54, backcolor=Color(0, 0, 0, 128)
    )
    return _render(_Ass, "ass", subs, header_notice="")


def _collect(cues: Sequence[Cue], escape: Callable[[str], str]) -> SSAFile:
    subs = SSAFile()
    subs.events = [
        SSAEvent(start=cue.start_ms, end=cue.end_ms, text=r"\N".join(map(escape, cue.lines))) for cue in cues
    ]
    return subs


def _render(layout: type[FormatBase], name: str, subs: SSAFile, **options: object) -> str:
    file = io.StringIO()
    layout.to_file(subs, file, name, **options)
    text = file.getvalue().rstrip("\n")
    return f"{text}\n" if text else ""


def _escape_shared(line: str) -> str:
    """Part what pysubs2 itself acts on: its escapes, and clocks, two of which it reads as a timing line."""
    return _CLOCK.sub(WORD_JOINER, line.replace("\\", f"\\{WORD_JOINER}"))


def _escape_srt(line: str) -> str:
    line = _SRT_TAG.sub(f"<{WORD_JOINER}", _escape_shared(line))
    return line.replace("{", "{" + WORD_JOINER).replace("-->", f"--{WORD_JOINER}>")


def _escape_vtt(line: str) -> str:
    return _escape_shared(line).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escape_ass(line: str) -> str:
    return _escape_shared(line).translate(_ASS_BRACES)
