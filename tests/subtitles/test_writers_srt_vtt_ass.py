import html
import re
from itertools import pairwise

import pysubs2
import pytest

from tests.subtitles.transcripts import make_transcript, make_word, speak
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.subtitles.cues import Cue, build_cues
from yivideo_pipeline.subtitles.writers import WORD_JOINER, WRITERS, render

EMPTY = make_transcript([])
HOUR_MS = 3_600_000
HOSTILE = [
    "<i>not italic</i>",
    "</font> <b >",
    r"{\an8}top",
    r"{\p1}m 0 0 l 9 9",
    "{Y:i}old",
    "00:00:01,000 --> 00:00:02,000",
    "Tom & Jerry &amp; &lt;",
    r"C:\new\Hall\N",
    "1",
    "WEBVTT",
    "NOTE this",
    "[Events]",
    "Dialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,x, y, z",
    "5 < 6 > 4",
    "}{",
    "Привет, 世界 🎬 مرحبا",
]
SRT = re.compile(
    r"(?:(?P<number>\d+)\n(\d{2,}):(\d{2}):(\d{2}),(\d{3}) --> (\d{2,}):(\d{2}):(\d{2}),(\d{3})\n"
    r"(?P<text>(?:.+\n)+)(?:\n|\Z))"
)
VTT = re.compile(
    r"(?:(?P<number>\d+)\n(\d{2,}):(\d{2}):(\d{2})\.(\d{3}) --> (\d{2,}):(\d{2}):(\d{2})\.(\d{3})\n"
    r"(?P<text>(?:(?!.*-->)[^<>\n]+\n)+)(?:\n|\Z))"
)


def cue(text: str, start_ms: int = 0, end_ms: int = 1000) -> Cue:
    return Cue(start_ms, end_ms, tuple(text.split("\n")), ())


def read_strictly(pattern: re.Pattern[str], text: str) -> list[tuple[int, int, str]]:
    """Every cue of a file of which nothing may be left over; numbers must count up from one."""
    cues, at = [], 0
    while at < len(text):
        match = pattern.match(text, at)
        assert match, f"not a cue: {text[at : at + 80]!r}"
        assert int(match["number"]) == len(cues) + 1
        fields = list(map(int, match.groups()[1:9]))
        start, end = (((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (fields[:4], fields[4:]))
        cues.append((start, end, match["text"].rstrip("\n")))
        at = match.end()
    return cues


def test_every_format_has_a_writer() -> None:
    assert set(WRITERS) == set(SubtitleFormat)


@pytest.mark.parametrize(
    ("subtitle_format", "text"), [(SubtitleFormat.SRT, ""), (SubtitleFormat.VTT, "WEBVTT\n")]
)
def test_a_file_without_cues_is_valid_and_empty(subtitle_format: SubtitleFormat, text: str) -> None:
    assert render((), EMPTY, subtitle_format) == text


def test_an_ass_file_without_cues_has_its_sections() -> None:
    text = render((), EMPTY, SubtitleFormat.ASS)
    assert text.endswith("Effect, Text\n")
    assert len(pysubs2.SSAFile.from_string(text)) == 0


def test_srt_gives_every_millisecond_of_ten_minutes_back_exactly() -> None:
    spans = [(ms, ms + 1) for ms in range(0, 600_001, 2)]
    text = render([cue("x", *span) for span in spans], EMPTY, SubtitleFormat.SRT)
    assert read_strictly(SRT, text) == [(*span, "x") for span in spans]


def test_vtt_gives_milliseconds_back_exactly() -> None:
    spans = [(ms, ms + 3) for ms in range(0, 600_000, 7)]
    text = render([cue("x", *span) for span in spans], EMPTY, SubtitleFormat.VTT)
    assert read_strictly(VTT, text.removeprefix("WEBVTT\n\n")) == [(*span, "x") for span in spans]


@pytest.mark.parametrize(
    ("subtitle_format", "clock"),
    [
        ("srt", "123:04:05,006 --> 123:04:06,007"),
        ("vtt", "123:04:05.006 --> 123:04:06.007"),
        ("ass", "123:04:05.01,123:04:06.01"),
    ],
)
def test_hours_beyond_ninety_nine_are_written(subtitle_format: str, clock: str) -> None:
    start_ms = 123 * HOUR_MS + 4 * 60_000 + 5_006
    assert clock in render([cue("late", start_ms, start_ms + 1001)], EMPTY, SubtitleFormat(subtitle_format))


@pytest.mark.parametrize("subtitle_format", ["srt", "vtt"])
def test_pysubs2_reads_the_same_cues_back(subtitle_format: str) -> None:
    cues = build_cues(make_transcript(speak("some words that nobody has to read, " * 20)), SubtitleOptions())
    subs = pysubs2.SSAFile.from_string(render(cues, EMPTY, SubtitleFormat(subtitle_format)))
    assert [(e.start, e.end, e.plaintext) for e in subs] == [(c.start_ms, c.end_ms, c.text) for c in cues]


def test_srt_never_turns_text_into_markup() -> None:
    text = render([cue(line) for line in HOSTILE], EMPTY, SubtitleFormat.SRT)
    assert [read[2].replace(WORD_JOINER, "") for read in read_strictly(SRT, text)] == HOSTILE
    assert not re.search(r"</?[a-zA-Z]|\{[\\A-Za-z]", text)
    assert text.count("-->") == len(HOSTILE)
    by_pysubs2 = pysubs2.SSAFile.from_string(text)
    assert [event.text.replace(WORD_JOINER, "") for event in by_pysubs2] == HOSTILE


def test_text_without_marks_is_written_as_it_is() -> None:
    plain = "Wait – what? 5 < 6 & 7 > 3, “quoted”…"
    assert plain in render([cue(plain)], EMPTY, SubtitleFormat.SRT)


def test_vtt_never_turns_text_into_markup() -> None:
    text = render([cue(line) for line in HOSTILE], EMPTY, SubtitleFormat.VTT)
    read = read_strictly(VTT, text.removeprefix("WEBVTT\n\n"))
    assert [html.unescape(line).replace(WORD_JOINER, "") for _, _, line in read] == HOSTILE


def test_ass_never_turns_text_into_markup() -> None:
    text = render([cue(line) for line in HOSTILE], EMPTY, SubtitleFormat.ASS)
    assert [line for line in text.splitlines() if line.startswith("[")] == [
        "[Script Info]",
        "[V4+ Styles]",
        "[Events]",
    ]
    back = str.maketrans("｛｝", "{}", WORD_JOINER)
    assert [e.plaintext.translate(back) for e in pysubs2.SSAFile.from_string(text)] == HOSTILE


@pytest.mark.parametrize("subtitle_format", ["srt", "vtt", "ass"])
def test_two_lines_stay_two_lines(subtitle_format: str) -> None:
    text = render([cue("upper line\nlower line")], EMPTY, SubtitleFormat(subtitle_format))
    assert pysubs2.SSAFile.from_string(text)[0].plaintext == "upper line\nlower line"


def test_rounding_to_hundredths_makes_no_ass_cue_overlap_or_vanish() -> None:
    words = [make_word(f" {'x' * 40}", ms / 1000, (ms + 43) / 1000) for ms in range(1, 4000, 43)]
    cues = build_cues(make_transcript(words), SubtitleOptions(min_gap_ms=0))
    assert len(cues) > 20
    events = pysubs2.SSAFile.from_string(render(cues, EMPTY, SubtitleFormat.ASS)).events
    assert all(event.start < event.end for event in events)
    assert all(before.end <= after.start for before, after in pairwise(events))


def test_an_ass_title_stays_on_one_line() -> None:
    text = render([cue("x")], EMPTY, SubtitleFormat.ASS, title="A film\n[Events]\nDialogue: no")
    subs = pysubs2.SSAFile.from_string(text)
    assert (subs.info["Title"], len(subs)) == ("A film [Events] Dialogue: no", 1)
