"""The language is judged by speech from all over the video."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.local_engine import likeliest, spread_order, weigh_languages
from yivideo_pipeline.speech.types import Span


def chunks(*lengths_s: float) -> list[Chunk]:
    return [Chunk((Span(start_s=0, end_s=length),)) for length in lengths_s]


@given(st.integers(0, 300), st.integers(1, 12))
def test_every_chunk_comes_once_whatever_the_sample(count, sample):
    assert sorted(spread_order(count, sample)) == list(range(count))


@given(st.integers(13, 500), st.integers(2, 12))
def test_the_sample_is_spread_over_the_whole_video(count, sample):
    first = spread_order(count, sample)[:sample]
    assert first == sorted(first)
    edges = [-1, *first, count]
    steps = [b - a for a, b in pairwise(edges)]
    assert max(steps) <= 1.5 * count / sample + 1


@given(st.integers(13, 100))
def test_what_is_not_in_the_sample_follows_in_order(count):
    rest = spread_order(count, 8)[8:]
    assert rest == sorted(rest)


def test_thirty_seconds_of_one_language_do_not_outweigh_the_rest():
    rows = [{"zh": 0.99, "en": 0.01}, *[{"zh": 0.2, "en": 0.8}] * 3]
    assert likeliest(weigh_languages(chunks(30, 28, 29, 27), rows)) == "en"


def test_a_chunk_weighs_as_much_as_it_is_long():
    rows = [{"fr": 0.9, "en": 0.1}, {"fr": 0.9, "en": 0.1}, {"fr": 0.1, "en": 0.9}]
    assert likeliest(weigh_languages(chunks(3, 3, 30), rows)) == "en"
    assert likeliest(weigh_languages(chunks(30, 30, 3), rows)) == "fr"


def test_the_probability_is_the_mean_over_the_time_sampled():
    found = weigh_languages(chunks(10, 30), [{"en": 1.0}, {"en": 0.6, "de": 0.4}])
    assert found == {"en": pytest.approx(0.7), "de": pytest.approx(0.3)}
