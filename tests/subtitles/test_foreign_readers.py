"""Readers that are not ours read what was written, whatever the text: markup, arrows, emoji, Hebrew."""

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import srt
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st
from ttconv.imsc import reader as imsc_reader
from ttconv.model import Br, ContentDocument, P, Text

from tests.subtitles.libass import draw
from tests.subtitles.transcripts import make_transcript, make_word, speak
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.subtitles.cues import Cue, build_cues
from yivideo_pipeline.subtitles.writers import render

INVISIBLE = str.maketrans("", "", "\u2060\u200f")
ODD = st.sampled_from(
    [
        " -->",
        " <i>",
        " &amp;",
        " &",
        " <",
        " {\\an8}",
        " שלום",
        " مرحبا",
        " 🎬👩‍👩‍👧",
        " 00:00:01.000",
        " <00:01.000>",
        " a",
    ]
)
TEXTS = st.lists(ODD | st.text("abc <>&-\\{}:.", min_size=1, max_size=8).map(" {}".format), max_size=25)
TTML = [SubtitleFormat.TTML, SubtitleFormat.IMSC, SubtitleFormat.EBU_TT_D]


def spoken(texts: list[str]) -> Transcript:
    return make_transcript([make_word(text, at / 2, at / 2 + 0.4) for at, text in enumerate(texts)])


def written(transcript: Transcript, kind: SubtitleFormat) -> tuple[tuple[Cue, ...], str]:
    cues = build_cues(transcript, SubtitleOptions())
    return cues, render(cues, transcript, kind, "A <title> & more")


def read_ttml(text: str) -> list[tuple[int, int, str]]:
    document = imsc_reader.to_model(ET.ElementTree(ET.fromstring(text)))
    assert isinstance(document, ContentDocument) and document.get_body() is not None
    found = []
    for paragraph in document.get_body().dfs_iterator():
        if isinstance(paragraph, P):
            parts = [
                "\n" if isinstance(one, Br) else one.get_text()
                for one in paragraph.dfs_iterator()
                if isinstance(one, Br | Text)
            ]
            start_ms, end_ms = (
                round(float(1000 * (at or 0))) for at in (paragraph.get_begin(), paragraph.get_end())
            )
            found.append((start_ms, end_ms, "".join(parts)))
    return found


def seen(cues: tuple[Cue, ...]) -> list[tuple[int, int, str]]:
    return [(cue.start_ms, cue.end_ms, cue.text) for cue in cues]


@pytest.mark.parametrize("kind", TTML)
@given(texts=TEXTS)
@settings(max_examples=20)
def test_ttconv_reads_ttml(kind, texts):
    cues, text = written(spoken(texts), kind)
    assert read_ttml(text) == seen(cues)


@given(texts=TEXTS)
@settings(max_examples=40)
def test_webvtt_py_reads_webvtt_with_and_without_the_times_of_words(texts):
    for kind in (SubtitleFormat.VTT, SubtitleFormat.WORDS_VTT):
        cues, text = written(spoken(texts), kind)
        read = webvtt.from_buffer(io.StringIO(text)).captions if cues else []
        assert [round(1000 * one.start_in_seconds) + one.start_time.milliseconds for one in read] == [
            cue.start_ms for cue in cues
        ]
        assert len(read) == len(cues)


@given(texts=TEXTS)
@settings(max_examples=40)
def test_srt_reads_subrip(texts):
    cues, text = written(spoken(texts), SubtitleFormat.SRT)
    read = list(srt.parse(text))
    assert [(one.start.total_seconds(), one.end.total_seconds()) for one in read] == [
        (cue.start_ms / 1000, cue.end_ms / 1000) for cue in cues
    ]
    assert [one.content.translate(INVISIBLE).split("\n") for one in read] == [
        [line.translate(INVISIBLE).rstrip() for line in cue.lines] for cue in cues
    ]


def test_ten_thousand_cues_are_read_back_whole():
    transcript = make_transcript(
        [make_word(f" Number {number}.", number * 3.0, number * 3.0 + 1) for number in range(10_000)]
    )
    cues, text = written(transcript, SubtitleFormat.SRT)
    assert len(cues) == len(list(srt.parse(text))) == 10_000
    words = render(cues, transcript, SubtitleFormat.WORDS_VTT)
    assert len(webvtt.from_buffer(io.StringIO(words)).captions) == 10_000


def test_libass_draws_karaoke_as_the_same_letters():
    transcript = make_transcript(speak("Good morning and welcome to the old town by the sea."))
    cues, plain = written(transcript, SubtitleFormat.ASS)
    _, karaoke = written(transcript, SubtitleFormat.KARAOKE_ASS)
    assert len(cues) == 1 and karaoke.count("\\k") == 11
    same, other = draw(plain, 3000), draw(karaoke, 3000)
    assert same.max() == 255
    assert abs(int(same.sum()) - int(other.sum())) < 0.02 * same.sum()
    for axis in (0, 1):  # letters begin and end in the same rows and columns, but for kerning
        drawn, sung = (np.flatnonzero(one.any(axis)) for one in (same, other))
        assert abs(drawn[0] - sung[0]) <= 6 and abs(drawn[-1] - sung[-1]) <= 6


def test_the_times_of_words_lie_in_order_inside_their_cue():
    transcript = make_transcript(
        speak("Good morning and welcome. It was late, very late indeed, and nobody knew.")
    )
    cues, text = written(transcript, SubtitleFormat.WORDS_VTT)
    for cue, caption in zip(cues, webvtt.from_buffer(io.StringIO(text)).captions, strict=True):
        times = [piece[:12] for piece in caption.raw_text.split("<")[1:]]
        assert [caption.start, *times, caption.end] == sorted({caption.start, *times, caption.end})
        assert len(times) == len(cue.words) - 1
