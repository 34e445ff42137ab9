from typing import Any

import pytest

from tests.subtitles.transcripts import make_transcript, make_word, speak
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.subtitles.cues import build_cues

OPTIONS = SubtitleOptions()


def lines_of(text: str, language: str = "en", **speech: Any) -> tuple[str, ...]:
    (cue,) = build_cues(make_transcript(speak(text, **speech), language), OPTIONS)
    return cue.lines


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("en", ("I would have called you earlier", "but I could not find the number.")),
        ("en", ("He walked all the way", "from the station to the old harbour.")),
        ("de", ("Ich wollte dich schon früher anrufen,", "aber ich habe die Nummer nicht gefunden.")),
        ("fr", ("Je ne sais pas si vous avez vu le film", "que nous avons tourné à Paris.")),
        ("es", ("No sabía que ibas a venir tan pronto", "porque nadie me lo había dicho.")),
        ("it", ("Non sapevo che saresti arrivato presto", "perché nessuno me lo aveva detto.")),
        ("ru", ("но мне кажется, что мы должны были уйти", "из этого дома ещё вчера вечером.")),
    ],
)
def test_two_lines_part_before_a_conjunction_or_preposition(language: str, lines: tuple[str, ...]) -> None:
    assert lines_of(" ".join(lines), language) == lines


def test_an_article_stays_with_its_noun() -> None:
    upper, lower = lines_of("Everybody had been talking about the extraordinary weather lately")
    assert not upper.endswith((" the", " about"))
    assert f"{upper} {lower}".startswith("Everybody")


def test_text_that_fits_one_line_is_not_broken() -> None:
    assert len(lines_of("This is a line of forty-two characters ok.")) == 1


def test_balanced_lines_are_preferred_to_a_full_one_and_a_rest() -> None:
    upper, lower = lines_of("Nobody ever believed anything those people told them anyway")
    assert abs(len(upper) - len(lower)) < 12


def test_three_lines_are_set_where_the_profile_allows_them() -> None:
    words = speak("Nobody ever believed anything those people told them anyway", 20)
    options = SubtitleOptions(max_chars_per_line=22, max_lines=3)
    (cue,) = build_cues(make_transcript(words), options)
    assert len(cue.lines) == 3
    assert max(map(len, cue.lines)) <= 22


def test_chinese_parts_after_the_comma_and_no_line_starts_with_punctuation() -> None:
    assert lines_of("今天是星期三，欢迎收看我们的新闻联播节目。", "zh", spaced=False, chars_per_second=6) == (
        "今天是星期三，",
        "欢迎收看我们的新闻联播节目。",
    )


def test_japanese_parts_after_a_phrase_not_before_its_particle() -> None:
    lines = ("私たちのチームはコンピューターを", "使ってデータを分析しています。")
    assert lines_of("".join(lines), "ja", spaced=False, chars_per_second=6) == lines


def test_punctuation_given_as_words_of_their_own_never_starts_or_ends_a_line_wrongly() -> None:
    text = "他说（" + "非常" * 6 + "）：「" + "谢谢大家" * 3 + "」。"
    words = [make_word(char, index * 0.15, (index + 1) * 0.15) for index, char in enumerate(text)]
    for cue in build_cues(make_transcript(words, "zh"), OPTIONS):
        assert all(line[0] not in "）：」。" and line[-1] not in "（「" for line in cue.lines)


def test_latin_words_and_numbers_inside_chinese_are_not_split() -> None:
    words = [
        make_word(text, index * 0.3, (index + 1) * 0.3)
        for index, text in enumerate(
            ["我", "们", "用", "Chat", "G", "PT", "完", "成", "了", "20", "23", "年", "的"] * 3
        )
    ]
    cues = build_cues(make_transcript(words, "zh"), OPTIONS)
    lines = [line for cue in cues for line in cue.lines]
    assert sum(line.count("ChatGPT") for line in lines) == 3
    assert sum(line.count("2023年") for line in lines) == 3


def test_a_chinese_number_with_its_measure_word_stays_with_what_is_counted():
    text = "你会发现测试中包含的两个模型都有一个错误率。"
    assert lines_of(text, "zh", spaced=False, chars_per_second=6) == (
        "你会发现测试中包含的两个模型",
        "都有一个错误率。",
    )


def test_latin_letters_count_half_among_chinese() -> None:
    assert lines_of("我们都在用Microsoft来写文字", "zh", spaced=False, chars_per_second=8) == (
        "我们都在用Microsoft来写文字",
    )


def test_a_hyphened_compound_given_in_parts_stays_whole() -> None:
    parts = [
        " a",
        " quite",
        " new",
        " state",
        "-of",
        "-the",
        "-art",
        " recognizer",
        " of",
        " human",
        " speech",
    ]
    words = [make_word(part, index * 0.3, (index + 1) * 0.3) for index, part in enumerate(parts)]
    (cue,) = build_cues(make_transcript(words), OPTIONS)
    assert "state-of-the-art" in cue.text


def test_french_punctuation_stays_with_the_word_before_its_space() -> None:
    text = "Est-ce que vous avez déjà vu ce film au cinéma ? Oui, bien sûr !"
    cues = build_cues(make_transcript(speak(text), "fr"), OPTIONS)
    assert all(line[0] not in "?!" for cue in cues for line in cue.lines)


def test_a_word_as_long_as_a_line_stays_whole() -> None:
    word = "x" * 42
    assert lines_of(f"see {word}") == ("see", word)


def test_an_address_longer_than_a_line_is_cut_after_a_mark_and_loses_nothing() -> None:
    address = "https://www.example.com/a/very/long/path/that/never/ends?query=1"
    lines = lines_of(address)
    assert "".join(lines) == address
    assert lines[0].endswith("/")
    assert max(map(len, lines)) <= 42


def test_a_long_word_without_marks_is_cut_where_the_line_ends() -> None:
    assert lines_of("A" * 60) == ("A" * 42, "A" * 18)


def test_a_letter_is_not_parted_from_its_accent() -> None:
    lines = lines_of("e\u0301" * 60)
    assert [len(line) for line in lines] == [84, 36]
    assert not any(line.startswith("\u0301") for line in lines)


def test_line_breaks_and_controls_inside_a_word_become_spaces() -> None:
    words = [make_word(" one\n\ntwo\x00three\u2028four\ufeff", 0, 2)]
    (cue,) = build_cues(make_transcript(words), OPTIONS)
    assert cue.lines == ("one two three four",)


def test_chinese_commas_and_full_stops_at_line_ends_are_left_out_if_the_profile_says_so():
    text = "我们到了，他没来。你为什么不说呢？因为，我不知道。"
    transcript = make_transcript(speak(text, 4, spaced=False), "zh")
    kept, left_out = (
        [
            line
            for cue in build_cues(transcript, SubtitleOptions(keep_line_end_marks=keep))
            for line in cue.lines
        ]
        for keep in (True, False)
    )
    assert "".join(kept) == text
    assert left_out == [line.rstrip("，。") for line in kept]
    assert any(line.endswith("？") for line in left_out)
