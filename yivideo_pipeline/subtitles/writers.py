"""The subtitle formats, each a function from cues to the text of a file.

SRT, WebVTT and ASS are laid out by pysubs2, except for two things. Its clocks stop at 99 h 59 min (SRT,
WebVTT) and 9 h 59 min (ASS), so each format here writes its own. And it has no way to mark text as text: what
a player would take for markup is neutralised here, with WebVTT's own escapes, else by an invisible U+2060
WORD JOINER in the middle of the mark, which players show as nothing.

TTML is written in the IMSC 1 text profile, which broadcasters' and web players read. pysubs2's writer leaves
out the language, the region and the time base that the profile asks for, so this one uses `xml.etree`.

ASS and TTML take text as left to right unless they are told otherwise, which sets the marks at the ends of
Hebrew and Arabic lines on the wrong side. Where a player looks at the letters, the first one decides: a line
that runs from right to left but begins with a Latin word gets an invisible mark before it.

JSON and plain text hold the transcript, whatever the cues.
"""

import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence

from pysubs2 import Color, SSAEvent, SSAFile, SSAStyle
from pysubs2.formats.base import FormatBase
from pysubs2.formats.subrip import SubripFormat
from pysubs2.formats.substation import SubstationFormat
from pysubs2.formats.webvtt import WebVTTFormat
from pysubs2.time import ms_to_times

from yivideo_pipeline.settings.options import SubtitleFormat
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.breaks import ends_sentence
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.grammar import grammar_of
from yivideo_pipeline.subtitles.tokens import tokenize

WORD_JOINER = "\u2060"
RIGHT_TO_LEFT_MARK = "\u200f"
RIGHT_TO_LEFT_SHARE = 0.4
"""From this share of Hebrew or Arabic letters on, a line runs from right to left."""
DIRECTION_OF_TEXT = -1
"""An ASS style's encoding by which libass takes each line's direction from its first letter."""

_SRT_TAG = re.compile(r"<(?=\s*/?\s*[A-Za-z!?])")
_CLOCK = re.compile(r"(?<=:\d)(?=[.,]\d)|(?<=:\d\d)(?=[.,]\d)")
_ASS_BRACES = str.maketrans("{}", "｛｝")
_PLAY_RES = {"PlayResX": "1920", "PlayResY": "1080"}

_ROOT = {
    "xmlns": "http://www.w3.org/ns/ttml",
    "xmlns:ttm": "http://www.w3.org/ns/ttml#metadata",
    "xmlns:ttp": "http://www.w3.org/ns/ttml#parameter",
    "xmlns:tts": "http://www.w3.org/ns/ttml#styling",
    "ttp:timeBase": "media",
    "ttp:profile": "http://www.w3.org/ns/ttml/profile/imsc1/text",
}
_STYLE = {
    "xml:id": "text",
    "tts:color": "white",
    "tts:fontFamily": "proportionalSansSerif",
    "tts:fontSize": "100%",
    "tts:lineHeight": "125%",
    "tts:textAlign": "center",
    "tts:textOutline": "black 5%",
}
_REGION = {
    "xml:id": "bottom",
    "tts:origin": "10% 80%",
    "tts:extent": "80% 15%",
    "tts:displayAlign": "after",
    "tts:overflow": "visible",
}

PARAGRAPH_PAUSE_MS = 2000
"""A longer pause starts a new line of plain text, even within a sentence."""

Writer = Callable[[Sequence[Cue], Transcript, str | None], str]
"""Takes the cues, the transcript and a title; returns the whole text of the file."""


def render(
    cues: Sequence[Cue], transcript: Transcript, format: SubtitleFormat, title: str | None = None
) -> str:
    """Return the text of a subtitle file: of the cues or, for JSON and TXT, of the transcript.

    The text ends in a line break and has no byte order mark; write it as UTF-8. Without cues it is a valid
    file of its format: for SRT and TXT an empty one. Words such as `<i>`, `{\\an8}` or `-->` are written as
    text, never as markup.

    Args:
        cues: The cues, as from `build_cues`.
        transcript: The transcript that they were made of.
        format: The format to write.
        title: The video's title, for the formats that have one (ASS, TTML).
    """
    return WRITERS[format](cues, transcript, title)


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
    """Return SubRip: numbered cues, exact milliseconds."""
    return _render(_Srt, "srt", _collect(cues, _escape_srt), keep_ssa_tags=True)


def render_vtt(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return WebVTT: its header, cues that always have hours, `&`, `<` and `>` escaped."""
    return _render(_Vtt, "vtt", _collect(cues, _escape_vtt), keep_ssa_tags=True)


def render_ass(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return Advanced SubStation Alpha, with one style: white, outlined, at the bottom of a 1080p picture.

    Its clock has hundredths of a second; both ends are rounded alike, so no cue overlaps the next.
    Braces become full-width ones, since no player agrees with another on how to escape them.
    """
    subs = _collect(cues, _escape_ass)
    subs.info.update(_PLAY_RES)
    if title:
        subs.info["Title"] = " ".join(title.split())
    subs.styles["Default"] = SSAStyle(
        fontsize=54,
        outline=3,
        shadow=1,
        marginl=96,
        marginr=96,
        marginv=54,
        backcolor=Color(0, 0, 0, 128),
        encoding=DIRECTION_OF_TEXT,
    )
    return _render(_Ass, "ass", subs, header_notice="")


def _collect(cues: Sequence[Cue], escape: Callable[[str], str]) -> SSAFile:
    subs = SSAFile()
    subs.events = [
        SSAEvent(
            start=cue.start_ms,
            end=cue.end_ms,
            text=r"\N".join(_direction_mark(line) + escape(line) for line in cue.lines),
        )
        for cue in cues
    ]
    return subs


def _render(layout: type[FormatBase], name: str, subs: SSAFile, **options: object) -> str:
    file = io.StringIO()
    layout.to_file(subs, file, name, **options)
    text = file.getvalue().rstrip("\n")
    return f"{text}\n" if text else ""


def _escape_shared(line: str) -> str:
    """Neutralise what pysubs2 itself acts on: its escapes, and clocks, two of which it reads as timing."""
    return _CLOCK.sub(WORD_JOINER, line.replace("\\", f"\\{WORD_JOINER}"))


def _escape_srt(line: str) -> str:
    line = _SRT_TAG.sub(f"<{WORD_JOINER}", _escape_shared(line))
    return line.replace("{", "{" + WORD_JOINER).replace("-->", f"--{WORD_JOINER}>")


def _escape_vtt(line: str) -> str:
    return _escape_shared(line).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _escape_ass(line: str) -> str:
    return _escape_shared(line).translate(_ASS_BRACES)


def _direction_mark(line: str) -> str:
    return RIGHT_TO_LEFT_MARK if _directions(line)[:1] == ["L"] and _runs_right_to_left(line) else ""


def _runs_right_to_left(text: str) -> bool:
    directions = _directions(text)
    return bool(directions) and 1 - directions.count("L") / len(directions) >= RIGHT_TO_LEFT_SHARE


def _directions(text: str) -> list[str]:
    """Return the direction of each letter: L, R (Hebrew) or AL (Arabic)."""
    return [kind for kind in map(unicodedata.bidirectional, text) if kind in ("L", "R", "AL")]


def render_ttml(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return TTML: one paragraph a cue, centred in a region at the bottom, on the video's own clock."""
    root = ET.Element("tt", {**_ROOT, "xml:lang": transcript.language_tag})
    head = ET.SubElement(root, "head")
    if title:
        ET.SubElement(ET.SubElement(head, "metadata"), "ttm:title").text = " ".join(title.split())
    ET.SubElement(ET.SubElement(head, "styling"), "style", _STYLE)
    ET.SubElement(ET.SubElement(head, "layout"), "region", _REGION)
    division = ET.SubElement(ET.SubElement(root, "body", {"style": "text", "region": "bottom"}), "div")
    division.extend(map(_paragraph, cues))
    ET.indent(root)
    markup = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{markup}\n'


def _paragraph(cue: Cue) -> ET.Element:
    paragraph = ET.Element("p", {"begin": _clock(cue.start_ms), "end": _clock(cue.end_ms)})
    if _runs_right_to_left(cue.text):
        paragraph.attrib |= {"tts:direction": "rtl", "tts:unicodeBidi": "embed"}
    paragraph.text, *others = cue.lines
    for line in others:
        ET.SubElement(paragraph, "br").tail = line
    return paragraph


def _clock(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def render_json(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return the transcript as JSON in WhisperX's shape (`speech.contract.to_whisperx`)."""
    from yivideo_pipeline.speech.contract import to_whisperx  # it imports what decodes sound

    return json.dumps(to_whisperx(transcript), ensure_ascii=False) + "\n"


def render_txt(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return the transcript as plain text, a sentence a line."""
    return "".join(f"{sentence}\n" for sentence in _sentences(transcript))


def _sentences(transcript: Transcript) -> Iterator[str]:
    grammar = grammar_of(transcript.language)
    tokens = tokenize(transcript, PARAGRAPH_PAUSE_MS)
    sentence = ""
    for index, token in enumerate(tokens):
        sentence += f" {token.text}" if token.spaced and sentence else token.text
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        paused = following is None or following.start_ms - token.end_ms > PARAGRAPH_PAUSE_MS
        if following is None or paused or ends_sentence(token.text, following.text, grammar):
            yield sentence
            sentence = ""


WRITERS: dict[SubtitleFormat, Writer] = {
    SubtitleFormat.SRT: render_srt,
    SubtitleFormat.VTT: render_vtt,
    SubtitleFormat.ASS: render_ass,
    SubtitleFormat.TTML: render_ttml,
    SubtitleFormat.JSON: render_json,
    SubtitleFormat.TXT: render_txt,
}
