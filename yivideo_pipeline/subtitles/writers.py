"""The subtitle formats, each a function from cues to the text of a file."""

from collections.abc import Callable, Sequence

from yivideo_pipeline.settings.options import SubtitleFormat
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.documents import render_json, render_txt
from yivideo_pipeline.subtitles.timed_text import render_ass, render_srt, render_vtt
from yivideo_pipeline.subtitles.ttml import render_ttml

Writer = Callable[[Sequence[Cue], Transcript, str | None], str]
"""Takes the cues, the transcript and a title; gives the file's whole text."""

WRITERS: dict[SubtitleFormat, Writer] = {
    SubtitleFormat.SRT: render_srt,
    SubtitleFormat.VTT: render_vtt,
    SubtitleFormat.ASS: render_ass,
    SubtitleFormat.TTML: render_ttml,
    SubtitleFormat.JSON: render_json,
    SubtitleFormat.TXT: render_txt,
}


def render(
    cues: Sequence[Cue], transcript: Transcript, format: SubtitleFormat, title: str | None = None
) -> str:
    """Write cues, or for JSON and TXT the transcript, as the text of a subtitle file.

    The text ends in a line break and has no byte order mark; write it as UTF-8. Without a cue it is
    a valid file of its format without cues: for SRT and TXT an empty one. What a recognizer heard
    as `<i>`, `{\\an8}` or `-->` comes out as text, never as markup.

    Args:
        cues: As `build_cues` made them.
        transcript: What they were made of.
        format: The format to write.
        title: The video's title, for the formats that hold one (ASS, TTML).
    """
    return WRITERS[format](cues, transcript, title)
