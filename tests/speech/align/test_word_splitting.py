"""Cutting text into words: nothing lost, each script by its own custom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yivideo_pipeline.speech.align.text import split_words, spoken_characters

ALPHABET = "aZé-'’ß9 0.,!?…—–«»“”\"()[]$%  你好世，。「」《》、ひらカナーไทยดีเ้าкот한국नमस्ते\u0301\t\n"
mixed = st.text(alphabet=ALPHABET, max_size=80) | st.text(max_size=60)


@given(mixed)
def test_the_words_joined_are_the_text(text):
    words = split_words(text)
    if any(char.isalnum() for char in text):
        assert "".join(words) == text.rstrip()
    else:
        assert words == []


@given(mixed)
def test_every_word_has_something_to_say(text):
    assert all(spoken_characters(word) for word in split_words(text))


@given(st.text(alphabet="你好世界天地，。！？「」", max_size=40))
def test_chinese_words_are_one_character_each(text):
    assert [len(spoken_characters(word)) for word in split_words(text)] == [1] * sum(
        char.isalnum() for char in text
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" It's a dog's life.", [" It's", " a", " dog's", " life."]),
        (" l'homme qu’il aime, n'est-ce pas ?", [" l'homme", " qu’il", " aime,", " n'est-ce", " pas ?"]),
        (" Привет, мир!", [" Привет,", " мир!"]),
        (" Он — врач.", [" Он —", " врач."]),
        (" In 1,455 days - 42% - at $3.50", [" In", " 1,455", " days -", " 42% -", " at", " $3.50"]),
        (" He (the mayor) said: “Go!”", [" He", " (the", " mayor)", " said:", " “Go!”"]),
        (" « Oui », dit-il.", [" « Oui »,", " dit-il."]),
        (" well-known - and...", [" well-known -", " and..."]),
        (" - Hello. - Hi.", [" - Hello. -", " Hi."]),
        ("今天天气很好。", ["今", "天", "天", "气", "很", "好。"]),
        ("他说：「你好！」", ["他", "说：", "「你", "好！」"]),
        ("《红楼梦》，1791年。", ["《红", "楼", "梦》，", "1791", "年。"]),
        ("我用 Python 写", ["我", "用", " Python", " 写"]),
        ("カーテン、です", ["カ", "ー", "テ", "ン、", "で", "す"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        (" 안녕 세상", [" 안녕", " 세상"]),
        ("", []),
        (" ... —", []),
    ],
)
def test_words_are_cut_by_the_custom_of_their_script(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("word", "spoken"),
    [
        (" “Don’t!”", "don't"),
        (" E\u0301te\u0301,", "été"),
        ("—", ""),
        (" '", ""),
        ("《红", "红"),
        (" 42%.", "42"),
        ("ดี", "ดี"),
    ],
)
def test_spoken_characters_are_what_an_aligner_can_find(word, spoken):
    assert spoken_characters(word) == spoken
