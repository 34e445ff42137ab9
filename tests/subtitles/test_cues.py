import json
from pathlib import Path
from typing import Any

import pytest

from tests.subtitles.transcripts import make_transcript, make_word, speak
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.subtitles.cues import Cue, build_cues
from yivideo_pipeline.subtitles.quality import measure_quality

OPTIONS = SubtitleOptions()


def cues_of(text: str, language: str = "en", **speech: Any) -> tuple[Cue, ...]:
    return build_cues(make_transcript(speak(text, **speech), language), OPTIONS)


def test_a_transcript_without_words_has_no_cues() -> None:
    assert build_cues(make_transcript([]), OPTIONS) == ()


def test_words_without_visible_text_make_no_cue() -> None:
    assert build_cues(make_transcript([make_word(" ", 0, 1), make_word("", 1, 2)]), OPTIONS) == ()


def test_a_short_sentence_is_one_line_that_starts_with_its_first_word() -> None:
    words = [make_word(" Hello", 1.2344, 1.5), make_word(" there.", 1.5, 2.4)]
    (cue,) = build_cues(make_transcript(words), OPTIONS)
    assert cue == Cue(1234, 2900, ("Hello there.",), tuple(words), "en")


def test_a_cue_lingers_half_a_second_after_its_last_word() -> None:
    (cue,) = build_cues(make_transcript(speak("A sentence of some words.")), OPTIONS)
    assert cue.end_ms == pytest.approx(cue.words[-1].end_s * 1000 + 500, abs=1)


def test_a_very_short_cue_is_held_for_five_sixths_of_a_second() -> None:
    (cue,) = build_cues(make_transcript([make_word(" No.", 3.0, 3.1)]), OPTIONS)
    assert cue.duration_ms == 834


def test_hurried_speech_is_held_until_it_can_be_read() -> None:
    words = speak("This was said in a great hurry by somebody.", chars_per_second=60)
    (cue,) = build_cues(make_transcript(words), OPTIONS)
    assert cue.duration_ms == 1000 * len(cue.text) / OPTIONS.max_chars_per_second


def test_a_cue_makes_room_for_the_next_one_whose_start_is_fixed() -> None:
    first, second = cues_of(
        "The first sentence ends here at last. The second one follows it at once.", pause_s=0
    )
    assert second.start_ms == round(second.words[0].start_s * 1000)
    assert second.start_ms - first.end_ms == OPTIONS.min_gap_ms


def test_no_cue_spans_a_pause_of_more_than_a_second() -> None:
    words = [*speak("before the pause"), *speak("after it", start_s=3.0)]
    assert [cue.lines for cue in build_cues(make_transcript(words), OPTIONS)] == [
        ("before the pause",),
        ("after it",),
    ]


def test_punctuation_that_comes_late_is_no_pause() -> None:
    words = [make_word(" Wait", 0, 0.5), make_word("!", 4, 4.1)]
    (cue,) = build_cues(make_transcript(words), OPTIONS)
    assert (cue.lines, cue.end_ms) == (("Wait!",), 1000)


def test_a_word_of_ten_seconds_is_shown_for_seven() -> None:
    (cue,) = build_cues(make_transcript([make_word(" Goooal!", 0, 10)]), OPTIONS)
    assert cue.duration_ms == 7000


def test_sentences_are_not_mixed_where_each_fills_a_cue() -> None:
    cues = cues_of(
        "I never thought of it that way. You should have told me before. Now it is too late for us."
    )
    assert [cue.text for cue in cues] == [
        "I never thought of it that way.",
        "You should have told me before.",
        "Now it is too late for us.",
    ]


def test_a_long_sentence_is_cut_at_its_commas_rather_than_where_a_cue_is_full() -> None:
    cues = cues_of(
        "When the morning train to the coast finally left the station, "
        "everybody who had been waiting on the platform went home, disappointed."
    )
    assert [cue.text.replace("\n", " ")[-8:] for cue in cues] == ["station,", "pointed."]


def test_no_lone_word_is_left_where_a_sentence_is_a_word_too_long() -> None:
    cues = cues_of(
        "Nobody had ever seen anything like these strange enormous birds flying slowly above quiet harbours"
    )
    assert [cue.words[0].text for cue in cues] == [" Nobody", " above"]


def test_an_abbreviation_does_not_end_a_sentence() -> None:
    cues = cues_of("Nobody believed that it was Dr. Johnson who had called. He never did that.")
    assert [cue.text.replace("\n", " ") for cue in cues] == [
        "Nobody believed that it was Dr. Johnson who had called.",
        "He never did that.",
    ]


def test_chinese_is_cut_before_the_conjunction_where_it_has_no_punctuation() -> None:
    cues = cues_of(
        "我们在讨论这个问题的时候发现很多人都不太了解它的原理但是他们每天都在使用手机里面的各种应用程序",
        "zh",
        spaced=False,
        chars_per_second=5,
    )
    assert [cue.text.startswith("但是") for cue in cues] == [False, True]


def test_chinese_is_held_to_its_own_reading_speed() -> None:
    (cue,) = build_cues(make_transcript(speak("今天我们去公园玩了", 40, spaced=False), "zh"), OPTIONS)
    assert cue.duration_ms == pytest.approx(1000 * 9 / 11, abs=20)


def test_the_script_is_determined_by_the_characters_not_by_the_language_code() -> None:
    chinese = "我们在讨论这个问题的时候发现很多人都不太了解它的基本原理和方法"
    as_english = cues_of(chinese, "en", spaced=False, chars_per_second=5)
    assert max(len(line) for cue in as_english for line in cue.lines) <= 16
    english = "This line of text is wider than what Chinese allows"
    (as_chinese,) = cues_of(english, "zh")
    assert max(map(len, as_chinese.lines)) > 16


def test_segments_without_a_space_between_them_are_separated_in_spaced_scripts_only() -> None:
    def joined(first: str, second: str) -> str:
        one, two = make_transcript([make_word(first, 0, 1)]), make_transcript([make_word(second, 1, 2)])
        both = one.model_copy(update={"segments": one.segments + two.segments})
        return build_cues(both, OPTIONS)[0].text

    assert joined("Hello", "there") == "Hello there"
    assert joined("你好", "世界") == "你好世界"


def test_right_to_left_text_passes_unchanged() -> None:
    text = "مرحبا بكم في هذا البرنامج الجديد،"
    (cue,) = cues_of(text, "ar")
    assert cue.text == text


def test_words_that_all_start_at_once_stay_in_one_cue_and_lose_no_text() -> None:
    words = [make_word(f" word{number}", 5.0, 5.0) for number in range(40)]
    (cue,) = build_cues(make_transcript(words), OPTIONS)
    assert cue.words == tuple(words)
    assert " ".join(cue.lines) == " ".join(f"word{number}" for number in range(40))


def test_a_wider_profile_gives_fewer_cues() -> None:
    transcript = make_transcript(speak("some words that nobody has to read " * 20))
    wide = SubtitleOptions(max_chars_per_line=60, max_lines=3, max_duration_s=15)
    assert len(build_cues(transcript, wide)) < len(build_cues(transcript, OPTIONS))


@pytest.mark.corpus
def test_recorded_speech_is_cut_without_a_fault(corpus: Path) -> None:
    clips = [clip for clip in json.loads((corpus / "manifest.json").read_text()) if clip.get("words")]
    assert clips
    for clip in clips:
        texts = clip["text"].split()
        timed = clip["words"]
        if len(texts) != len(timed):
            continue
        words = [make_word(f" {t}", w["start"], w["end"]) for t, w in zip(texts, timed, strict=True)]
        transcript = make_transcript(words)
        cues = build_cues(transcript, OPTIONS)
        assert " ".join(line for cue in cues for line in cue.lines) == " ".join(texts)
        assert measure_quality(cues, transcript, OPTIONS).issues == ()


def test_the_last_cue_ends_with_the_video():
    transcript = make_transcript(speak("It is the end.", start_s=8.0))
    ends_s = transcript.words[-1].end_s
    (free,) = build_cues(transcript, OPTIONS)
    (held,) = build_cues(transcript, OPTIONS, end_s=ends_s + 0.1)
    (with_sound,) = build_cues(transcript.model_copy(update={"end_s": ends_s + 0.2}), OPTIONS)
    assert free.end_ms == round(1000 * ends_s) + 500
    assert held.end_ms == int(1000 * (ends_s + 0.1))
    assert with_sound.end_ms == int(1000 * (ends_s + 0.2))


def test_a_cue_of_words_after_the_video_still_has_a_length():
    (cue,) = build_cues(make_transcript(speak("Late.", start_s=8.0)), OPTIONS, end_s=5.0)
    assert (cue.start_ms, cue.duration_ms) == (8000, 40)


def test_no_cue_has_two_languages_and_each_is_broken_by_the_rules_of_its_own() -> None:
    """German ends a line before "und"; French, say, knows no such word."""
    english = make_transcript([make_word(" Hello", 0.0, 0.5), make_word(" there", 0.5, 1.0)])
    german = ["Das", "Meer", "ist", "weit", "und", "still"]
    words = [make_word(f" {word}", 1.1 + 0.4 * at, 1.5 + 0.4 * at) for at, word in enumerate(german)]

    def cut(language: str) -> list[tuple[str, str | None]]:
        following = make_transcript(words).segments[0].model_copy(update={"language": language})
        both = english.model_copy(update={"segments": (*english.segments, following)})
        cues = build_cues(both, SubtitleOptions(max_chars_per_line=18))
        return [(cue.text, cue.language) for cue in cues]

    assert cut("de") == [("Hello there", "en"), ("Das Meer ist weit\nund still", "de")]
    assert cut("fr")[1] == ("Das Meer ist\nweit und still", "fr")
