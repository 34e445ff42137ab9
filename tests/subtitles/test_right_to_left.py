"""Hebrew and Arabic: the mark at the end of a sentence stands on the left, where the sentence ends."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tests.subtitles.libass import LIBRARY, draw
from tests.subtitles.transcripts import make_transcript, speak
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.writers import RIGHT_TO_LEFT_MARK, render

TTS = "{http://www.w3.org/ns/ttml#styling}"


def write(text: str, kind: SubtitleFormat, language: str = "he") -> str:
    transcript = make_transcript(speak(text), language)
    return render(build_cues(transcript, SubtitleOptions()), transcript, kind)


def glyph_heights(frame: np.ndarray) -> list[int]:
    """Return the height of what is drawn in each stretch of columns that touch, from left to right."""
    used = np.flatnonzero(frame.any(axis=0))
    stretches = np.split(used, np.flatnonzero(np.diff(used) > 1) + 1)
    rows = [np.flatnonzero(frame[:, columns].any(axis=1)) for columns in stretches]
    return [int(found[-1] - found[0]) for found in rows]


@pytest.mark.skipif(LIBRARY is None, reason="libass is not installed (Debian: apt-get install libass9)")
@pytest.mark.parametrize(
    ("text", "is_left"),
    [
        ("אנחנו חיים ומתים.", True),
        ("نحن نعيش في الظل.", True),
        ("ما در سایه زندگی می‌کنیم.", True),
        ("John הלך הביתה.", True),
        ("3 אנשים באו.", True),
        ("We live in the shadow.", False),
        ("He said שלום to all of them.", False),
    ],
)
def test_the_full_stop_is_drawn_where_the_sentence_ends(text, is_left):
    heights = glyph_heights(draw(write(text, SubtitleFormat.ASS), 300))
    first, last, tallest = heights[0], heights[-1], max(heights)
    stop, start = (first, last) if is_left else (last, first)
    assert stop < tallest / 2 < start


def test_ttml_says_which_cues_run_from_right_to_left():
    text = write("אנחנו חיים ומתים בצללים. John Smith said so.", SubtitleFormat.TTML)
    hebrew, english = ET.fromstring(text).iter("{http://www.w3.org/ns/ttml}p")
    assert (hebrew.get(f"{TTS}direction"), hebrew.get(f"{TTS}unicodeBidi")) == ("rtl", "embed")
    assert english.get(f"{TTS}direction") is None


@pytest.mark.parametrize("kind", [SubtitleFormat.SRT, SubtitleFormat.VTT, SubtitleFormat.ASS])
def test_only_a_line_that_begins_from_left_to_right_gets_an_invisible_mark(kind):
    assert RIGHT_TO_LEFT_MARK not in write("אנחנו חיים, John. He said שלום to all of them.", kind)
    assert f"{RIGHT_TO_LEFT_MARK}John הלך" in write("John הלך הביתה.", kind)
