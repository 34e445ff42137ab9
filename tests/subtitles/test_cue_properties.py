from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.subtitles.transcripts import make_transcript, make_word
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.speech.types import Word
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.quality import measure_quality
from yivideo_pipeline.subtitles.tokens import clean_text, count_columns
from yivideo_pipeline.subtitles.writers import render

LATIN = st.text("abcdefgXYZ'", min_size=1, max_size=9).map(" {}".format)
PUNCTUATED = st.tuples(LATIN, st.sampled_from(["", "", ",", ".", "?", "..."])).map("".join)
HAN = st.tuples(st.sampled_from("我们你好在的是不中国人大小"), st.sampled_from(["", "", "", "，", "。"])).map(
    "".join
)
ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def disordered_words(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[Word]]:
    """Words with any times at all: overlapping, running backwards, of no or negative length."""
    times = st.floats(-5, 60, allow_nan=False)
    return st.lists(st.builds(make_word, texts, times, times), max_size=40)


def ordered_words(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[Word]]:
    """Words one after another, each at least a twentieth of a second long."""

    def build(items: list[tuple[str, int, int]]) -> list[Word]:
        words, at_ms = [], 0
        for text, pause_ms, length_ms in items:
            at_ms += pause_ms
            words.append(make_word(text, at_ms / 1000, (at_ms + length_ms) / 1000))
            at_ms += length_ms
        return words

    pauses = st.one_of(st.just(0), st.integers(0, 3000))
    return st.lists(st.tuples(texts, pauses, st.integers(50, 1500)), max_size=60).map(build)


OPTIONS = st.builds(
    SubtitleOptions,
    max_chars_per_line=st.integers(14, 60),
    max_chars_per_line_cjk=st.integers(8, 20),
    max_lines=st.integers(1, 4),
    min_gap_ms=st.integers(0, 300),
    max_pause_s=st.floats(0.1, 3),
)


@given(disordered_words(ANYTHING), OPTIONS)
def test_any_input_gives_ordered_cues_of_some_length_with_every_word_once(
    words: list[Word], options: SubtitleOptions
) -> None:
    cues = build_cues(make_transcript(words), options)
    assert all(cue.start_ms >= 0 and cue.duration_ms >= 40 for cue in cues)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(cues))
    assert [word for cue in cues for word in cue.words] == [w for w in words if clean_text(w.text).strip()]
    shown = "".join(line for cue in cues for line in cue.lines)
    spoken = "".join(clean_text(word.text) for word in words)
    assert shown.replace(" ", "") == spoken.replace(" ", "")


@given(disordered_words(ANYTHING))
def test_any_input_can_be_written_in_every_format_and_measured(words: list[Word]) -> None:
    transcript = make_transcript(words)
    cues = build_cues(transcript, SubtitleOptions())
    for subtitle_format in SubtitleFormat:
        text = render(cues, transcript, subtitle_format)
        assert text == "" or text.endswith("\n")
        assert not text.startswith("\ufeff")
        text.encode()
    score = measure_quality(cues, transcript, SubtitleOptions()).score
    assert (score is None) is (not cues)
    assert score is None or 0 <= score <= 100


@given(ordered_words(PUNCTUATED | HAN), OPTIONS)
@settings(max_examples=200)
def test_words_in_order_give_cues_within_every_limit(words: list[Word], options: SubtitleOptions) -> None:
    cues = build_cues(make_transcript(words), options)
    widest = max(options.max_chars_per_line, 2 * options.max_chars_per_line_cjk)
    for cue in cues:
        assert cue.start_ms == round(cue.words[0].start_s * 1000)
        assert cue.duration_ms <= options.max_duration_s * 1000
        assert len(cue.lines) <= options.max_lines
        assert all(count_columns(line) <= widest for line in cue.lines)
        assert all(
            round((after.start_s - before.end_s) * 1000) <= round(options.max_pause_s * 1000)
            for before, after in pairwise(cue.words)
        )


@given(ordered_words(LATIN), OPTIONS)
def test_a_gap_gives_way_only_to_a_cue_of_one_frame(words: list[Word], options: SubtitleOptions) -> None:
    for before, after in pairwise(build_cues(make_transcript(words), options)):
        assert after.start_ms - before.end_ms >= options.min_gap_ms or before.duration_ms == 40
