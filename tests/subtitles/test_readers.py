"""Files that were corrected elsewhere become cues that fit, whatever program wrote them."""

import pytest

from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.storage.edits import EditedCue
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.readers import read_cues
from yivideo_pipeline.subtitles.writers import render

END_MS = 60_000
SRT = "1\n00:00:01,000 --> 00:00:02,500\n{}\n\n2\n00:00:03,000 --> 00:00:04,000\nEnd\n"
CUES = [
    EditedCue(1000, 2500, "<b>5 > 3</b> & {so on}\n- two lines"),
    EditedCue(3000, 4000, "אבג abc"),
    EditedCue(5000, 6000, "-- & --> &amp;"),
]
EMPTY = Transcript.model_construct(segments=(), language="en", zh_script=None, warnings=())


@pytest.mark.parametrize("kind", ["srt", "vtt", "ass"])
def test_what_we_write_is_read_back_as_it_was(kind):
    cues = [Cue(cue.start_ms, cue.end_ms, tuple(cue.text.split("\n")), ()) for cue in CUES]
    read, notes = read_cues(render(cues, EMPTY, kind, None).encode(), "en", END_MS)
    if kind == "ass":  # which has no way to write a brace as text
        read[0] = read[0]._replace(text=read[0].text.replace("｛", "{").replace("｝", "}"))
    assert (read, notes) == (CUES, [])


def test_marks_of_style_and_place_are_no_text():
    read, _ = read_cues(SRT.format(r"{\an8}<i>Up</i> there").encode(), "en", END_MS)
    assert read[0].text == "Up there"


@pytest.mark.parametrize(
    ("text", "encoding", "language"),
    [
        ("今天天气", "gb18030", "zh-Hans"),
        ("今日は", "cp932", "ja"),
        ("café", "cp1252", "fr"),
        ("café", "utf-8-sig", "fr"),
        ("今天天气", "utf-16", "zh"),
    ],
)
def test_old_encodings_are_told_by_the_language(text, encoding, language):
    read, _ = read_cues(SRT.format(text).encode(encoding), language, END_MS)
    assert [cue.text for cue in read] == [text, "End"]


def test_cues_out_of_order_overlapping_and_after_the_end_are_made_to_fit_and_named():
    times = [(9, 12), (1, 5), (4, 8), (4, 6), (58, 70), (80, 90)]
    file = "\n".join(
        f"{n}\n00:{a // 60:02}:{a % 60:02},000 --> 00:{b // 60:02}:{b % 60:02},000\n{n}\n"
        for n, (a, b) in enumerate(times)
    )
    read, notes = read_cues(file.encode(), "en", END_MS)
    assert read == [
        EditedCue(1000, 4000, "1"),
        EditedCue(4000, 8000, "3\n2"),
        EditedCue(9000, 12_000, "0"),
        EditedCue(58_000, 60_000, "4"),
    ]
    assert len(notes) == 3


@pytest.mark.parametrize("data", [b"", b"no subtitles", b"\xff\xfe\x00", b"{1}{2}MicroDVD", b"WEBVTT\n"])
def test_any_other_file_is_refused(data):
    with pytest.raises(ValueError, match=r"The file"):
        read_cues(data, "en", END_MS)
