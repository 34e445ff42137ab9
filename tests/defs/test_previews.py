from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yivideo_pipeline.defs.previews import draw_timeline, draw_waveform
from yivideo_pipeline.speech.types import Word

SVG = "{http://www.w3.org/2000/svg}"


read = ElementTree.fromstring


def word(text: str, start_s: float, end_s: float, confidence: float = 1.0) -> Word:
    return Word(text=text, start_s=start_s, end_s=end_s, confidence=confidence, source="aligned")


@given(text=st.text(st.characters(blacklist_categories=["Cs"])))
def test_any_text_gives_a_picture_that_can_be_read(text):
    read(draw_timeline([word(text, 1.0, 2.0)]))


@pytest.mark.parametrize("words", [[], [word("a", 0, 0)], [word("a", 1, 2), word("b", 7200, 7201)]])
def test_odd_words_give_a_picture_of_bounded_size(words):
    assert int(read(draw_timeline(words)).attrib["height"]) <= 640


def test_a_long_transcript_stays_small():
    words = [word(" Donaudampfschifffahrt", i, i + 0.9, 0.123456) for i in range(10_000)]
    assert len(draw_timeline(words)) < 30_000


def test_a_long_sound_stays_small():
    spans = [[i * 4.0, i * 4.0 + 3.0] for i in range(9_000)]
    assert len(draw_waveform([[-100, 100]] * 480, spans, 0.0, 36_000.0)) < 30_000


def test_a_word_over_the_end_of_a_row_goes_on_in_the_next():
    texts = [text.text for text in read(draw_timeline([word("lamp", 5.8, 6.3)])).iter(f"{SVG}text")]
    assert texts.count("lamp") == 2


def test_the_legend_names_the_sources_that_occur():
    texts = [text.text for text in read(draw_timeline([word("lamp", 1.0, 1.3)])).iter(f"{SVG}text")]
    assert [text for text in texts if text.startswith("timed ")] == ["timed by the aligner"]


def test_no_sound_gives_an_empty_picture():
    read(draw_waveform([], [], 0.0, 0.0))
