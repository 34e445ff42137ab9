"""What a transcript says of itself."""

from tests.subtitles.transcripts import make_transcript, make_word


def wordless(words: list[tuple[float, float]], spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    transcript = make_transcript([make_word(" so", *times) for times in words], spans=spans)
    return [(span.start_s, span.end_s) for span in transcript.wordless_spans]


def test_a_span_of_speech_is_wordless_where_no_word_overlaps_it():
    spans = [(0.0, 1.0), (2.0, 3.0), (4.0, 5.0), (6.0, 7.0), (8.0, 8.5), (9.0, 10.0)]
    # The second word lasts into the third span, although a later one ends before it.
    words = [(1.0, 1.5), (1.6, 4.2), (3.1, 3.5), (7.0, 7.4), (9.9, 10.5)]
    assert wordless(words, spans) == [(0.0, 1.0), (6.0, 7.0)]


def test_without_words_all_but_the_shortest_spans_are_wordless():
    assert wordless([], [(-0.1, 1.0), (2.0, 2.5)]) == [(-0.1, 1.0)]
