"""Speech in doubt is decoded again, span by span; what is heard there corrects the words and their times."""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.speech.make_sound import spoken_words
from yivideo_pipeline.speech.assemble import SpokenWord
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.gap_repair import (
    Repair,
    Unit,
    find_worthwhile,
    plan_gap_repairs,
    plan_repairs,
)
from yivideo_pipeline.speech.types import Span
from yivideo_pipeline.speech.weaving import LEAST_LOGPROB, apply_repair, choose_heard, is_sure_of

Timed = list[tuple[str, float, float]]

SPOKEN: Timed = [
    (" We", 0.0, 0.3),
    (" left", 0.3, 0.8),
    (" early.", 0.8, 1.4),
    (" Then", 6.0, 6.4),
    (" we", 6.4, 6.6),
    (" slept.", 6.6, 7.2),
]
BUS: Timed = [(" The", 2.0, 2.3), (" bus", 2.3, 2.8), (" came.", 2.8, 3.4)]
LONG: Timed = [
    (f" {'abcdefghij'[at % 10] * 3}", at / 2, at / 2 + 0.45) for at in range(40) if not 16 < at < 22
]
THREE = ((0.0, 1.4), (2.0, 3.4), (6.0, 7.2))


def spans(*times: tuple[float, float]) -> tuple[Span, ...]:
    return tuple(Span(start_s=start, end_s=end) for start, end in times)


def plan(words: Timed, *times: tuple[float, float]) -> list[Repair]:
    return plan_repairs(spoken_words(words), spans(*times), duration_s=times[-1][1] + 1)


def chunks(words: Timed, *times: tuple[float, float]) -> list[list[tuple[float, float]]]:
    return [[(unit.chunk.start_s, unit.chunk.end_s) for unit in repair] for repair in plan(words, *times)]


def repaired(
    words: Timed, heard: list[Timed], *times: tuple[float, float], avg_logprob: float = -0.2
) -> list[SpokenWord]:
    """The words after their only repair, in whose parts these words were heard."""
    (repair,) = plan(words, *times)
    assert len(repair) == len(heard)
    again = [spoken_words(part, avg_logprob) for part in heard]
    return apply_repair(spoken_words(words), repair, again)


def text_of(spoken: list[SpokenWord]) -> str:
    return "".join(item.word.text for item in spoken)


def times_of(spoken: list[SpokenWord]) -> list[tuple[float, float]]:
    return [(item.word.start_s, item.word.end_s) for item in spoken]


def test_speech_that_is_all_covered_needs_no_repair():
    assert plan(SPOKEN, (0.0, 1.4), (6.0, 7.2)) == []


def test_a_span_without_words_is_decoded_by_itself_as_is_the_one_on_either_side():
    parts = [(0.0, pytest.approx(1.7)), (pytest.approx(1.7), 3.8), (5.6, pytest.approx(7.6))]
    assert chunks(SPOKEN, *THREE) == [parts]


def test_a_span_with_far_fewer_words_than_fit_is_decoded_again():
    assert chunks([(" And", 0.0, 1.0)], (0.0, 1.03)) != []
    assert chunks([(" ask", 0.0, 0.5), (" not", 0.6, 1.0)], (0.0, 1.09)) == []


def test_a_sound_as_short_as_a_breath_is_left_alone():
    assert plan(SPOKEN, (0.0, 1.4), (2.0, 2.4), (6.0, 7.2)) == []


def test_of_a_long_span_only_the_part_in_doubt_is_decoded_with_a_word_on_either_side():
    ((unit,),) = plan(LONG, (0.0, 20.0))
    assert (unit.start_s, unit.end_s) == (8.0, 11.45)
    assert unit.chunk.start_s < unit.closer.start_s < unit.start_s


def test_no_part_is_longer_than_a_window():
    for repair in chunks([], (0.0, 100.0)):
        assert all(end - start <= 30 for start, end in repair)


def test_a_phrase_that_the_decoder_skipped_stands_once_in_its_place():
    merged = repaired(SPOKEN, [SPOKEN[:3], BUS, SPOKEN[3:]], *THREE)
    assert text_of(merged) == " We left early. The bus came. Then we slept."
    assert all(before[1] <= after[0] for before, after in pairwise(times_of(merged)))


def test_words_that_were_stretched_over_a_skipped_phrase_go_back_to_where_they_are_heard():
    stretched = [(" We", 0.0, 0.3), (" left", 0.3, 1.2), (" early.", 2.0, 3.4), *SPOKEN[3:]]
    merged = repaired(stretched, [SPOKEN[:3], BUS, SPOKEN[3:]], *THREE)
    assert text_of(merged) == " We left early. The bus came. Then we slept."
    assert times_of(merged)[2] == (0.8, 1.4)


def test_a_sentence_said_ten_times_is_kept_ten_times_however_alike_the_text():
    once = [(" Here", 0.0, 0.4), (" we", 0.4, 0.6), (" go.", 0.6, 1.0)]
    times = [(2.0 * at, 2.0 * at + 1.0) for at in range(10)]
    heard = [[(text, start + at, end + at) for text, start, end in once] for at, _ in times]
    skipped = [(text, 6.0 * at, 6.0 * at + 4.0) for at, (text, _, _) in enumerate(once)]
    assert text_of(repaired(skipped, heard, *times)) == " Here we go." * 10


def test_a_sentence_that_only_the_decoder_repeats_is_counted_by_the_spans():
    once = [(" Here", 0.0, 0.4), (" we", 0.4, 0.6), (" go.", 0.6, 1.0)]
    looped = [
        (text, at * 0.5 + start / 2, at * 0.5 + end / 2) for at in range(6) for text, start, end in once
    ]
    heard = [once, [(text, start + 2, end + 2) for text, start, end in once]]
    assert text_of(repaired(looped, heard, (0.0, 1.0), (2.0, 3.0))) == " Here we go." * 2


def test_the_text_that_was_read_with_all_around_it_is_kept_where_both_readings_are_alike():
    heard = [[(" we", 0.0, 0.3), (" Left", 0.35, 0.8), (" Early", 0.8, 1.4)], BUS, SPOKEN[3:]]
    merged = repaired(SPOKEN, heard, *THREE)
    assert text_of(merged[1:2]) == " left"
    assert times_of(merged)[1] == (0.35, 0.8)


def test_of_two_readings_of_one_sound_in_more_and_fewer_words_the_likelier_one_stays():
    old = [(" And", 0.0, 0.3), (" here's", 0.3, 0.7), (" some.", 0.7, 1.4), *SPOKEN[3:]]
    new = [(" And", 0.0, 0.3), (" Here", 0.35, 0.5), (" are", 0.5, 0.7), (" some.", 0.7, 1.4)]
    merged = repaired(old, [new, BUS, SPOKEN[3:]], *THREE)  # all words are alike sure
    assert text_of(merged) == " And here's some. The bus came. Then we slept."
    assert times_of(merged)[1] == (0.35, 0.7)
    other = [(" And", 0.0, 0.3), (" by", 0.35, 0.5), (" sea", 0.5, 0.7), (" some.", 0.7, 1.4)]
    assert " And by sea some." in text_of(repaired(old, [other, BUS, SPOKEN[3:]], *THREE))


def test_a_word_that_is_not_heard_again_stays_where_there_is_time_for_it():
    heard = [[SPOKEN[0], SPOKEN[2]], BUS, SPOKEN[3:]]
    assert text_of(repaired(SPOKEN, heard, *THREE)) == " We left early. The bus came. Then we slept."


@pytest.mark.parametrize(("confidence", "is_kept"), [(0.5, True), (0.95, False)])
def test_a_word_for_which_a_less_sure_reading_leaves_no_room_stays_where_it_was(confidence, is_kept):
    first = [(" That", 2.0, 2.2), (" is", 2.2, 2.4), (" all", 2.4, 2.8), (" thanks", 2.9, 3.3)]
    again = spoken_words([(" That", 2.1, 2.5), (" is", 2.5, 2.9), (" all.", 2.9, 3.3)])
    unsure = [replace(item, word=item.word.model_copy(update={"confidence": confidence})) for item in again]
    unit = Unit(1.8, 3.5, *[Chunk(spans((1.8, 3.5)))] * 2)
    woven = apply_repair(spoken_words([*SPOKEN[:3], *first, *SPOKEN[3:]]), (unit,), [unsure])
    assert (" thanks" in text_of(woven)) is is_kept
    assert times_of(woven)[5] == ((2.4, 2.8) if is_kept else (2.9, 3.3))


def test_an_unsure_part_adds_no_words():
    merged = repaired(SPOKEN, [[], BUS, []], *THREE, avg_logprob=LEAST_LOGPROB - 0.01)
    assert [item.word for item in merged] == [item.word for item in spoken_words(SPOKEN)]


def test_no_word_stays_stretched_over_speech_in_which_nothing_is_heard():
    stretched = [*SPOKEN[:2], (" early.", 0.8, 2.3), (" Then", 3.3, 6.4), *SPOKEN[4:]]
    merged = repaired(stretched, [SPOKEN[:3], [], SPOKEN[3:]], *THREE)
    assert times_of(merged) == times_of(spoken_words(SPOKEN))
    unheard = repaired(stretched, [[], [], []], *THREE)
    assert times_of(unheard)[2][1] <= 2.0, "where the part begins"
    assert times_of(unheard)[3][0] >= 3.4


def test_a_part_of_a_long_span_says_nothing_twice():
    found = [(" ggg", 7.98, 8.45), (" and", 9.0, 9.3), (" more", 9.4, 9.9), (" ccc", 11.0, 11.45)]
    merged = repaired(LONG, [found], (0.0, 20.0))
    assert len(merged) == len(LONG) + 2
    assert " fff ggg and more ccc ddd" in text_of(merged)


def test_a_repetition_without_a_pause_is_left_as_it_was_read():
    assert plan([(" ha", at / 4, at / 4 + 0.25) for at in range(12)], (0.0, 3.0)) == []


def test_what_the_model_refused_is_read_again_only_where_a_voice_may_be_lost_among_other_sounds():
    short, long = Chunk(spans((0.0, 1.4), (2.0, 3.4))), Chunk(spans((6.0, 14.0), (20.0, 30.0)))
    parts = spans((0.0, 1.4), (2.0, 3.4), (6.0, 14.0), (20.0, 30.0))
    assert find_worthwhile(parts, [short, long]) == parts[2:]
    assert find_worthwhile(parts[2:3], [long]) == ()


def test_the_likelier_of_two_readings_is_chosen():
    unsure, sure = spoken_words(BUS, avg_logprob=-0.7), spoken_words(BUS, avg_logprob=-0.1)
    assert choose_heard(unsure, sure) == sure
    assert choose_heard(unsure, []) == unsure
    assert is_sure_of(sure) and not is_sure_of(unsure) and not is_sure_of([])


@pytest.mark.parametrize("text", [" 1455", " Donaudampfschifffahrt"])
def test_a_number_or_a_long_word_may_take_its_time(text):
    assert plan([(text, 0.0, 1.6)], (0.0, 1.6)) == []


def test_a_gap_in_what_was_decoded_again_is_decoded_by_itself():
    words: Timed = [(" It", 0.0, 0.3), (" was.", 0.3, 1.0), (" Words", 9.0, 9.5), (" end.", 9.5, 10.0)]
    [(unit,)] = plan(words, (0.0, 10.0))
    (gap,) = plan_gap_repairs(spoken_words(words), spans((0.0, 10.0)), [unit])
    assert [(part.start_s, part.end_s) for part in gap] == [(1.0, 9.0)]
    assert (gap[0].chunk.start_s, gap[0].chunk.end_s) == (pytest.approx(0.8), pytest.approx(9.2))
    heard = spoken_words([(" There", 1.1, 1.6), (" is", 1.6, 2.0), (" more.", 2.0, 8.8)])
    assert text_of(apply_repair(spoken_words(words), gap, [heard])) == " It was. There is more. Words end."


def test_a_part_in_which_nothing_was_heard_is_not_decoded_a_third_time():
    *_, unit = plan([(" It", 0.0, 0.3)], (0.0, 0.4), (4.0, 9.0))[-1]
    assert plan_gap_repairs(spoken_words([(" It", 0.0, 0.3)]), spans((0.0, 0.4), (4.0, 9.0)), [unit]) == []
    assert plan_gap_repairs(spoken_words(SPOKEN), spans((0.0, 7.2)), []) == []
