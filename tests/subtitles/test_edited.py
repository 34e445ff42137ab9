import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.speech.types import Segment, Transcript, Word
from yivideo_pipeline.storage.edits import EditedCue
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.edited import as_transcript, clean_lines, split_words, time_cues
from yivideo_pipeline.subtitles.writers import render

ENGLISH = " The keeper lit the lamp. No, no, no! It was dark by four."
CHINESE = "今天天气很好，我们去看海。"


def transcript(text: str, language: str) -> Transcript:
    words = tuple(
        Word(text=word, start_s=place * 0.4, end_s=place * 0.4 + 0.3, confidence=0.9, source="aligned")
        for place, word in enumerate(split_words(text))
    )
    segment = Segment(
        start_s=0, end_s=words[-1].end_s, text=text, words=words, avg_logprob=0, no_speech_prob=0
    )
    return Transcript(
        language=language, language_probability=1, duration_s=20, segments=(segment,), speech_spans=(),
        model="m", revision="r", aligner="a",
    )  # fmt: skip


def texts_of(cues) -> list[EditedCue]:
    return [EditedCue(cue.start_ms, cue.end_ms, cue.text) for cue in cues]


@pytest.mark.parametrize(("text", "language"), [(ENGLISH, "en"), (CHINESE, "zh")])
def test_unchanged_cues_get_their_words_back(text, language):
    original = transcript(text, language)
    narrow = SubtitleOptions(max_chars_per_line=12, max_chars_per_line_cjk=8, max_lines=1)
    cues = build_cues(original, narrow)
    assert len(cues) > 1
    assert time_cues(texts_of(cues), original) == cues


def test_unchanged_words_keep_their_times_and_a_new_one_lies_between_them():
    original = transcript(ENGLISH, "en")
    (cue,) = time_cues([EditedCue(0, 2000, "The old keeper lit\nthe lamp.")], original)
    words = {word.text.strip(): word for word in cue.words}
    kept = {word.text.strip(): word for word in original.words}
    assert list(words) == ["The", "old", "keeper", "lit", "the", "lamp."]
    for text in ("The", "keeper", "lit", "lamp."):
        assert (words[text].start_s, words[text].source) == (kept[text].start_s, "aligned")
    assert words["old"].source == "interpolated"
    assert words["The"].end_s <= words["old"].start_s <= words["old"].end_s <= words["keeper"].start_s


def test_a_corrected_mark_leaves_the_time_of_its_word_unchanged():
    original = transcript(ENGLISH, "en")
    (cue,) = time_cues([EditedCue(0, 2000, "the keeper lit the lamp,")], original)
    assert [word.source for word in cue.words] == ["aligned"] * 5
    assert cue.words[-1].text == " lamp,"


def test_of_repeated_words_each_cue_gets_its_own():
    original = transcript(ENGLISH, "en")
    starts = [word.start_s for word in original.words if word.text.strip().startswith(("No", "no"))]
    cues = time_cues(
        [EditedCue(round(start * 1000), round(start * 1000) + 350, "no") for start in starts], original
    )
    assert [cue.words[0].start_s for cue in cues] == starts


def test_a_character_typed_into_chinese_text_gets_the_time_between_its_neighbours():
    (cue,) = time_cues([EditedCue(0, 6000, "今天的天气很好，\n我们去看海。")], transcript(CHINESE, "zh"))
    assert [word.text for word in cue.words if word.source == "interpolated"] == ["的"]


def test_the_words_of_a_cue_where_nothing_was_recognized_fill_its_time():
    (cue,) = time_cues([EditedCue(15_000, 17_000, "[door slams]")], transcript(ENGLISH, "en"))
    assert (cue.words[0].start_s, round(cue.words[-1].end_s, 6)) == (15, 17)


@pytest.mark.parametrize("kind", list(SubtitleFormat))
def test_every_format_has_the_text_that_was_typed(kind):
    original = transcript(ENGLISH, "en")
    cues = time_cues(
        [EditedCue(1234, 2345, "Quite\nanother lamp."), EditedCue(3000, 4000, "Ça va ?")], original
    )
    text = render(cues, as_transcript(cues, original), kind)
    text = re.sub(r"<[\d:.]+>|\{\\k\d+\}", "", text)  # the times of words
    assert "another lamp." in text.replace("\\N", "\n")
    assert "Ça va ?" in text
    assert "keeper" not in text


def test_lines_are_cleaned_of_what_no_format_holds():
    assert clean_lines("  one\u2028two \x00\r\n\n\t three\t ") == "one two\nthree"
    assert clean_lines(" \n\t\n") == ""


@given(st.text(max_size=60))
def test_the_words_joined_are_the_text_in_one_line(typed):
    text = clean_lines(typed)
    spoken = "".join(split_words(text))
    assert spoken.replace(" ", "") == text.replace("\n", "").replace(" ", "")


@given(st.lists(st.text(min_size=1, max_size=20).map(clean_lines).filter(bool), max_size=5))
def test_the_words_of_any_cue_are_in_order_and_make_up_its_text(texts):
    cues = time_cues(
        [EditedCue(n * 500, n * 500 + 400, text) for n, text in enumerate(texts)], transcript(ENGLISH, "en")
    )
    for cue, text in zip(cues, texts, strict=True):
        assert all(word.start_s <= word.end_s for word in cue.words)
        assert "".join(word.text for word in cue.words).split() == "".join(split_words(text)).split()
