"""The subtitle formats, each a function from cues to the text of a file.

SRT, WebVTT and ASS are laid out by pysubs2, except for two things. Its clocks stop at 99 h 59 min (SRT,
WebVTT) and 9 h 59 min (ASS), so each format here writes its own. And it has no way to mark text as text: what
a player would take for markup is neutralised here, with WebVTT's own escapes, else by an invisible U+2060
WORD JOINER in the middle of the mark, which players show as nothing.

ASS takes text as left to right unless it is told otherwise, which sets the marks at the ends of Hebrew and
Arabic lines on the wrong side. Where a player looks at the letters, the first one decides: a line that runs
from right to left but begins with a Latin word gets an invisible mark before it.

TTML is written in `ttml`. JSON and plain text hold the transcript, whatever the cues.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from pysubs2 import Color, SSAEvent, SSAFile, SSAStyle
from pysubs2.formats.base import FormatBase
from pysubs2.formats.subrip import SubripFormat
from pysubs2.formats.substation import SubstationFormat
from pysubs2.formats.webvtt import WebVTTFormat
from pysubs2.time import ms_to_times

from yivideo_pipeline.settings.subtitle_options import SubtitleFormat
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.breaks import ends_sentence
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.directions import direction_mark
from yivideo_pipeline.subtitles.grammar import grammar_of
from yivideo_pipeline.subtitles.karaoke import TimedPiece, timed_pieces
from yivideo_pipeline.subtitles.tokens import tokenize
from yivideo_pipeline.subtitles.ttml import render_ebu_tt_d, render_imsc, render_ttml

WORD_JOINER = "\u2060"
RIGHT_TO_LEFT_MARK = "\u200f"
UNSUNG = Color(160, 160, 160)
"""Karaoke: the colour of words that are yet to be said."""
DIRECTION_OF_TEXT = -1
"""An ASS style's encoding by which libass takes each line's direction from its first letter."""

_SRT_TAG = re.compile(r"<(?=\s*/?\s*[A-Za-z!?])")
_CLOCK = re.compile(r"(?<=:\d)(?=[.,]\d)|(?<=:\d\d)(?=[.,]\d)")
_ASS_BRACES = str.maketrans("{}", "｛｝")
_PLAY_RES = {"PlayResX": "1920", "PlayResY": "1080"}

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


def render_words_vtt(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return WebVTT in which each word has its time: players can show it when it is said.

    A time such as `<00:00:01.000>` stands before each word but the first, inside the cue's own times.
    """
    subs = _collect(cues, _escape_vtt)
    for event, cue in zip(subs.events, cues, strict=True):
        event.text = "".join(_timed_vtt(piece) for piece in timed_pieces(cue))
    return _render(_Vtt, "vtt", subs, keep_ssa_tags=True)


def _timed_vtt(piece: TimedPiece) -> str:
    text = r"\N".join(map(_escape_vtt, piece.text.split("\n")))
    return text if piece.start_ms is None else f"<{_Vtt.ms_to_timestamp(piece.start_ms)}>{text}"


def render_ass(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return Advanced SubStation Alpha, with one style: white, outlined, at the bottom of a 1080p picture.

    Its clock has hundredths of a second; both ends are rounded alike, so no cue overlaps the next.
    Braces become full-width ones, since no player agrees with another on how to escape them.
    """
    return _render_ass(_collect(cues, _escape_ass), title)


def render_karaoke_ass(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    r"""Return Advanced SubStation Alpha in which each word lights up when it is said (`{\k20}`: 0.2 s)."""
    subs = _collect(cues, _escape_ass)
    for event, cue in zip(subs.events, cues, strict=True):
        event.text = _karaoke(cue)
    return _render_ass(subs, title, UNSUNG)


def _karaoke(cue: Cue) -> str:
    pieces = timed_pieces(cue)
    starts = [cue.start_ms if piece.start_ms is None else piece.start_ms for piece in pieces]
    ticks = [(ms + 5) // 10 for ms in (*starts, cue.end_ms)]
    text, line_begins = "", True
    for piece, (tick, next_tick) in zip(pieces, pairwise(ticks), strict=True):
        lines = piece.text.split("\n")
        marks = [direction_mark(line) if number or line_begins else "" for number, line in enumerate(lines)]
        shown = r"\N".join(mark + _escape_ass(line) for mark, line in zip(marks, lines, strict=True))
        text += f"{{\\k{next_tick - tick}}}{shown}"
        line_begins = piece.text.endswith("\n")
    return text


def _render_ass(subs: SSAFile, title: str | None, unsung: Color = SSAStyle().secondarycolor) -> str:
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
        secondarycolor=unsung,
    )
    return _render(_Ass, "ass", subs, header_notice="")


def _collect(cues: Sequence[Cue], escape: Callable[[str], str]) -> SSAFile:
    subs = SSAFile()
    subs.events = [
        SSAEvent(
            start=cue.start_ms,
            end=cue.end_ms,
            text=r"\N".join(direction_mark(line) + escape(line) for line in cue.lines),
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


def render_json(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return the transcript as JSON in WhisperX's shape (`speech.contract.to_whisperx`)."""
    from yivideo_pipeline.speech.contract import to_whisperx  # it imports what decodes sound

    return json.dumps(to_whisperx(transcript), ensure_ascii=False) + "\n"


def render_txt(cues: Sequence[Cue], transcript: Transcript, title: str | None) -> str:
    """Return the transcript as plain text, a sentence a line."""
    return "".join(f"{sentence}\n" for sentence in _sentences(transcript))


def _sentences(transcript: Transcript) -> Iterator[str]:
    tokens = tokenize(transcript, PARAGRAPH_PAUSE_MS)
    sentence = ""
    for index, token in enumerate(tokens):
        sentence += f" {token.text}" if token.spaced and sentence else token.text
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if (
            following is None
            or following.start_ms - token.end_ms > PARAGRAPH_PAUSE_MS
            or following.language != token.language
            or ends_sentence(token.text, following.text, grammar_of(token.language))
        ):
            yield sentence
            sentence = ""


WRITERS: dict[SubtitleFormat, Writer] = {
    SubtitleFormat.SRT: render_srt,
    SubtitleFormat.VTT: render_vtt,
    SubtitleFormat.ASS: render_ass,
    SubtitleFormat.TTML: render_ttml,
    SubtitleFormat.JSON: render_json,
    SubtitleFormat.TXT: render_txt,
    SubtitleFormat.IMSC: render_imsc,
    SubtitleFormat.EBU_TT_D: render_ebu_tt_d,
    SubtitleFormat.WORDS_VTT: render_words_vtt,
    SubtitleFormat.KARAOKE_ASS: render_karaoke_ass,
}
