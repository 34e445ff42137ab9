"""What a transcript says of itself."""

import json

from tests.subtitles.transcripts import make_transcript, make_word
from yivideo_pipeline.speech.types import Transcript, WordlessReason, WordlessSpan

Listed = list[tuple[float, float, WordlessReason]]


def wordless(words: list[tuple[float, float]], spans: list[tuple[float, float]], *searched) -> Listed:
    made = make_transcript([make_word(" so", *times) for times in words], spans=spans)
    found = [WordlessSpan(start_s=start, end_s=end, reason=reason) for start, end, reason in searched]
    transcript = made.model_copy(update={"searched": tuple(found)})
    return [(span.start_s, span.end_s, span.reason) for span in transcript.wordless_spans]


def test_every_part_of_the_speech_without_a_word_is_listed_but_not_the_edges_of_words():
    spans = [(0.0, 1.0), (2.0, 3.0), (4.0, 5.0), (6.0, 7.0), (8.0, 8.5), (9.0, 10.0)]
    # The second word lasts into the third span, although a later one ends before it.
    words = [(1.0, 1.5), (1.6, 4.2), (3.1, 3.5), (7.0, 7.4), (9.25, 9.6)]
    assert wordless(words, spans) == [
        (0.0, 1.0, "unknown"),
        (4.2, 5.0, "brief"),
        (6.0, 7.0, "unknown"),
        (8.0, 8.5, "brief"),
        (9.6, 10.0, "brief"),
    ]


def test_the_reason_is_what_was_searched_of_most_of_it():
    spans = [(0.0, 2.0), (3.0, 3.5), (4.0, 9.0)]
    searched = [(0.0, 2.2, "unsure"), (2.9, 3.4, "no_speech"), (3.2, 5.0, "no_speech"), (4.9, 9.0, "unsure")]
    assert wordless([(4.0, 4.6)], spans, *searched) == [
        (0.0, 2.0, "unsure"),
        (3.0, 3.5, "no_speech"),
        (4.6, 9.0, "unsure"),
    ]


def test_a_transcripts_json_lists_them_and_is_read_back_as_the_same_transcript():
    transcript = make_transcript([make_word(" so", 0, 0.5)], spans=[(0, 0.5), (2, 5)])
    document = transcript.model_dump_json()
    assert json.loads(document)["wordless_spans"] == [{"start_s": 2.0, "end_s": 5.0, "reason": "unknown"}]
    assert Transcript.model_validate_json(document) == transcript
    assert transcript.wordless_warnings == ("3.0 s of what sounds like speech have no words: 2.0-5.0 s",)
