"""Words with digits and symbols, as an acoustic model can find them."""

import pytest

from yivideo_pipeline.settings.languages import LANGUAGES
from yivideo_pipeline.speech.align.spoken_form import spoken_form
from yivideo_pipeline.speech.align.wav2vec2_model import read_alphabet


@pytest.mark.parametrize(
    ("language", "word", "said"),
    [
        ("en", " 25%,", " twenty-five percent ,"),
        ("en", " 1998", " nineteen ninety-eight"),
        ("en", " 1,250", " one thousand, two hundred and fifty"),
        ("en", " 3.5", " three point five"),
        ("en", " 21st", " twenty-first"),
        ("en", " $5", " five dollars"),
        ("en", " 5551234567", " five five five one two three four five six seven"),
        ("en", " 007", " zero zero seven"),
        ("en", " B2B", " B two B"),
        ("en", " R&D", " R and D"),
        ("de", " 1998", " neunzehnhundertachtundneunzig"),
        ("de", " 3,5", " drei Komma fünf"),
        ("fr", " 70 %", " soixante-dix pour cent"),
        ("ja", "25", "二十五"),
        ("zh", "50%", "百分之五十"),
        ("zh", "3.05", "三点零五"),
        ("zh", "15", "十五"),
        ("zh", "0", "零"),
        ("zh", "2024", "二零二四"),
        ("zh", "10005", "一万零五"),
        ("zh", "100,000", "十万"),
        ("zh", "12003400", "一二零零三四零零"),
        ("zh", "1,250,000", "一百二十五万"),
        ("yue", "100,050,000", "一亿零五万"),
        ("zh", "100,000,005", "一亿零五"),
        ("zh", "7.5%", "百分之七点五"),
    ],
)
def test_numbers_and_symbols_are_said_in_the_language(language, word, said):
    assert spoken_form(word, language) == said


@pytest.mark.parametrize("word", [" plain", "don't", " naïve", " 25%", ""])
def test_what_has_no_known_form_stays(word):
    assert spoken_form(word, "mi") == word


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_number_ends_the_alignment_in_any_language(language):
    for word in (
        "0", "007", "19", "1998", "2024", "3.5", "3,50", "0.0000001", "1,250", "1.2.3", "10.10.2020", "12:30",
        "٣٤", "21st", "$5", "999,999,999,999", ",".join(["123"] * 40), "9" * 400,
    ):  # fmt: skip
        assert spoken_form(f" {word}", language).startswith(" ")


def test_the_words_of_a_number_are_parted_by_the_models_separator():
    alphabet = read_alphabet({"<pad>": 0, "|": 1, "a": 2, "b": 3})
    letters = alphabet.spell([" a", " ab ba"])
    assert [(letter.id, letter.word) for letter in letters] == [
        (2, 0), (1, None), (2, 1), (3, 1), (1, None), (3, 1), (2, 1),
    ]  # fmt: skip
