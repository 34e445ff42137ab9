import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yivideo_pipeline.comparison.passages import LONGEST_S, find_passages
from yivideo_pipeline.speech.types import Segment, Transcript, Word


def transcript(text: str, language: str = "en", shifts: dict[int, float] | None = None) -> Transcript:
    parts = list(text) if language == "zh" else [f" {part}" for part in text.split()]
    words = tuple(
        Word(
            text=part,
            start_s=at + (shifts or {}).get(at, 0.0),
            end_s=at + 0.8,
            confidence=1,
            source="attention",
        )
        for at, part in enumerate(parts)
    )
    segment = Segment(start_s=0, end_s=len(words), text=text, words=words, avg_logprob=0, no_speech_prob=0)
    return Transcript(
        language=language,
        language_probability=1,
        duration_s=len(words),
        segments=(segment,) if words else (),
        speech_spans=(),
        model="m",
        revision="r",
        aligner="attention",
    )


def texts(shown) -> str:
    return "".join(one.word.text for one in shown).strip()


def test_a_passage_has_the_words_that_differ_three_around_them_and_what_is_said_there():
    a = transcript("one two three four five six seven eight nine ten")
    b = transcript("one two three four hive six seven eight nine ten")
    (passage,) = find_passages(a, b, "One, two, three, four, five, six, seven, eight, nine, ten.", "en")
    assert texts(passage.a) == "two three four five six seven eight"
    assert texts(passage.b) == "two three four hive six seven eight"
    assert passage.reference == "two, three, four, five, six, seven, eight,"
    assert [one.word.text for one in passage.b if one.differs] == [" hive"]
    assert (passage.start_s, passage.end_s) == (1, 7.8)


def test_words_that_only_one_has_are_marked_there_and_far_differences_are_passages_of_their_own():
    said = [f"w{number}" for number in range(40)]
    other = [*said[:5], "more", *said[6:30], *said[31:]]
    shifts = dict.fromkeys(range(30, 39), 1.0)  # the words after the lost one keep their times
    first, second = find_passages(
        transcript(" ".join(said)), transcript(" ".join(other), shifts=shifts), "", "en"
    )
    assert [one.word.text for one in first.b if one.differs] == [" more"]
    assert [one.word.text for one in second.a if one.differs == "word"] == [" w30"]
    assert not any(one.differs for one in second.b)


def test_a_word_at_another_time_is_shown_with_its_shift_and_marks_and_case_are_not():
    a = transcript("Good morning, and welcome.")
    b = transcript("good morning and Welcome", shifts={1: -0.3, 3: 0.1})
    (passage,) = find_passages(a, b, "", "en")
    assert [(one.word.text, one.differs) for one in passage.b if one.differs] == [(" morning", "time")]
    assert passage.shift_s == pytest.approx(-0.3)
    assert passage.weight == 0


def test_chinese_is_compared_by_characters_whatever_their_script():
    (passage,) = find_passages(
        transcript("今天天气好", "zh"), transcript("今天天氣壞", "zh"), "今天天气好。", "zh"
    )
    assert [one.word.text for one in passage.b if one.differs] == ["壞"]
    assert passage.reference == "天天气好"


def test_where_one_has_no_words_the_other_is_shown_to_half_a_minute():
    (passage,) = find_passages(transcript(""), transcript("word " * 100), "", "en")
    assert not passage.a
    assert 25 < len(passage.b) <= LONGEST_S + 1
    assert passage.end_s == LONGEST_S


WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat"]), max_size=30)


@hypothesis.settings(max_examples=50)
@given(WORDS, WORDS)
def test_every_word_that_only_one_has_stands_in_a_passage(a, b):
    passages = find_passages(transcript(" ".join(a)), transcript(" ".join(b)), "the cat sat", "en")
    assert bool(passages) == (a != b)
    kept_a = len(a) - sum(one.differs == "word" for passage in passages for one in passage.a)
    kept_b = len(b) - sum(one.differs == "word" for passage in passages for one in passage.b)
    assert kept_a == kept_b
