"""Speech that no word covers is decoded again, and its new words are inserted once or not at all."""

import pytest

from tests.speech.make_sound import spoken_words
from yivideo_pipeline.speech.assemble import SpokenWord
from yivideo_pipeline.speech.gap_repair import SURE_LOGPROB, insert_repairs, plan_repairs
from yivideo_pipeline.speech.types import Span

SPOKEN = spoken_words(
    [
        (" We", 0.0, 0.3),
        (" left", 0.3, 0.8),
        (" early.", 0.8, 1.4),
        (" Then", 6.0, 6.4),
        (" we", 6.4, 6.6),
        (" slept.", 6.6, 7.2),
    ]
)
WHOLE = (Span(start_s=0.0, end_s=7.2),)


def text_of(spoken: list[SpokenWord]) -> str:
    return "".join(item.word.text for item in spoken)


def gaps(spoken: list[SpokenWord], spans: tuple[Span, ...] = WHOLE) -> list[tuple[float, float]]:
    return [(chunk.start_s, chunk.end_s) for chunk in plan_repairs(spoken, spans)]


def test_speech_that_is_all_covered_needs_no_repair():
    spans = (Span(start_s=0.0, end_s=1.4), Span(start_s=6.0, end_s=7.2))
    assert gaps(SPOKEN, spans) == []


def test_a_phrase_that_the_decoder_skipped_is_decoded_again():
    assert gaps(SPOKEN) == [pytest.approx((1.2, 6.2))]


def test_a_phrase_that_a_neighbours_time_was_stretched_over_is_decoded_again():
    stretched = spoken_words([(" We", 0.0, 0.4), (" left.", 0.4, 6.0), (" Then", 6.0, 6.4)])
    ((start, end),) = gaps(stretched, (Span(start_s=0.0, end_s=6.4),))
    assert start < 0.4, "the words on either side are read along, to tell where the phrase belongs"
    assert end == pytest.approx(6.6)


def test_an_end_that_the_decoder_left_out_is_decoded_again():
    assert gaps(SPOKEN, (Span(start_s=0.0, end_s=1.4), Span(start_s=6.0, end_s=12.0))) == [
        pytest.approx((7.0, 12.2))
    ]


def test_speech_without_a_single_word_is_decoded_again():
    assert gaps([], (Span(start_s=3.0, end_s=8.0),)) == [pytest.approx((2.8, 8.2))]


def test_silence_between_spans_is_not_decoded_again():
    assert gaps(SPOKEN, (Span(start_s=0.0, end_s=1.4), Span(start_s=6.0, end_s=7.2))) == []


def test_short_gaps_are_left_alone():
    close = spoken_words([(" We", 0.0, 0.5), (" left.", 1.9, 2.4)])
    assert gaps(close, (Span(start_s=0.0, end_s=2.4),)) == []


def test_no_repair_is_longer_than_a_window():
    for start, end in gaps([], (Span(start_s=0.0, end_s=100.0),)):
        assert end - start <= 30


def test_a_repaired_phrase_stands_once_in_its_place():
    repair = spoken_words([(" The", 2.0, 2.3), (" bus", 2.3, 2.8), (" came.", 2.8, 3.4)])
    merged = insert_repairs(SPOKEN, [repair])
    assert text_of(merged) == " We left early. The bus came. Then we slept."
    starts = [item.word.start_s for item in merged]
    assert starts == sorted(starts)


def test_a_word_that_was_stretched_over_the_repair_is_shortened():
    stretched = spoken_words([(" We", 0.0, 0.4), (" left.", 0.4, 6.0), (" Then", 6.0, 6.4)])
    merged = insert_repairs(stretched, [spoken_words([(" The", 2.0, 2.3), (" bus.", 2.3, 3.0)])])
    assert text_of(merged) == " We left. The bus. Then"
    assert merged[1].word.end_s == 2.0


@pytest.mark.parametrize("text", [[" early."], [" left", " early"], [" then", " we"], [" Slept"]])
def test_a_repair_that_says_what_stands_beside_it_is_refused(text):
    repair = spoken_words([(word, 2.0 + i, 2.9 + i) for i, word in enumerate(text)])
    assert insert_repairs(SPOKEN, [repair]) == SPOKEN


def test_an_unsure_repair_is_refused():
    repair = spoken_words([(" The", 2.0, 2.3), (" bus.", 2.3, 2.8)], avg_logprob=SURE_LOGPROB - 0.01)
    assert insert_repairs(SPOKEN, [repair]) == SPOKEN


def test_a_repair_without_words_changes_nothing():
    assert insert_repairs(SPOKEN, [[], []]) == SPOKEN


def test_two_repairs_of_one_phrase_come_in_once():
    repair = spoken_words([(" The", 2.0, 2.3), (" bus", 2.3, 2.8), (" came.", 2.8, 3.4)])
    later = spoken_words([(" The", 3.6, 3.7), (" bus", 3.7, 3.9), (" came.", 3.9, 4.4)])
    assert text_of(insert_repairs(SPOKEN, [repair, later])) == " We left early. The bus came. Then we slept."


def test_a_repair_keeps_its_new_words_where_it_hears_the_edge_of_its_neighbours_again():
    repair = spoken_words(
        [
            (" early.", 1.2, 1.5),
            (" The", 2.0, 2.3),
            (" bus", 2.3, 2.8),
            (" came.", 2.8, 3.4),
            (" Then", 5.8, 6.2),
        ]
    )
    assert text_of(insert_repairs(SPOKEN, [repair])) == " We left early. The bus came. Then we slept."


def test_a_repair_that_rings_on_into_the_next_word_is_kept():
    repair = spoken_words([(" The", 2.0, 2.3), (" bus", 2.3, 2.8), (" came.", 2.8, 6.05)])
    assert text_of(insert_repairs(SPOKEN, [repair])) == " We left early. The bus came. Then we slept."


SLOW = spoken_words(
    [(" We", 0.0, 0.3), (" left", 0.3, 0.6), (" the", 0.6, 2.4), (" bus", 2.4, 4.0), (" now.", 4.0, 4.4)]
)


def test_neighbours_that_share_a_skipped_phrases_time_are_decoded_again_with_the_words_beside_them():
    assert gaps(SLOW, (Span(start_s=0.0, end_s=4.4),)) == [pytest.approx((0.1, 4.6))]


@pytest.mark.parametrize("text", [" 1455", " Donaudampfschifffahrt"])
def test_a_number_or_a_long_word_may_take_its_time(text):
    assert gaps(spoken_words([(text, 0.0, 1.6)]), (Span(start_s=0.0, end_s=1.6),)) == []


def test_words_that_hide_a_phrase_are_replaced_by_a_repair_that_has_both():
    repair = spoken_words(
        [
            (" left", 0.3, 0.6),
            (" the", 0.6, 0.8),
            (" house", 0.8, 1.3),
            (" and", 1.4, 1.6),
            (" took", 1.6, 2.0),
            (" the", 2.0, 2.2),
            (" bus", 2.2, 2.8),
            (" now.", 4.0, 4.4),
        ]
    )
    assert text_of(insert_repairs(SLOW, [repair])) == " We left the house and took the bus now."


def test_a_repair_that_says_something_else_does_not_take_the_words_place():
    repair = spoken_words([(f" other{i}", 0.6 + i / 2, 1.0 + i / 2) for i in range(7)])
    assert text_of(insert_repairs(SLOW, [repair])) == text_of(SLOW)
