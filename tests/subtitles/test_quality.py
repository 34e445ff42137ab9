import pytest

from tests.subtitles.transcripts import make_transcript, make_word, speak
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.types import Word
from yivideo_pipeline.subtitles.cues import Cue, build_cues
from yivideo_pipeline.subtitles.quality import Quality, measure_quality

OPTIONS = SubtitleOptions()
WORDS = speak("Nothing is wrong with this sentence, and nothing is wrong with that one.")


def measure(
    *cues: Cue, words: list[Word] | None = None, spans: tuple[tuple[float, float], ...] = ()
) -> Quality:
    return measure_quality(cues, make_transcript(words or WORDS, spans=spans), OPTIONS)


def cue(text: str, start_ms: int, end_ms: int, words: tuple[Word, ...] = ()) -> Cue:
    return Cue(start_ms, end_ms, tuple(text.split("\n")), words)


def test_good_cues_of_certain_words_score_a_hundred() -> None:
    transcript = make_transcript(WORDS, spans=[(0, WORDS[-1].end_s)])
    quality = measure_quality(build_cues(transcript, OPTIONS), transcript, OPTIONS)
    assert (quality.score, quality.issues) == (100.0, ())
    assert (quality.cues, quality.words, quality.words_by_source) == (1, 13, {"attention": 13})
    assert quality.mean_confidence == pytest.approx(0.9)


def test_a_video_without_speech_has_no_score_and_no_means() -> None:
    quality = measure_quality((), make_transcript([]), OPTIONS)
    assert (
        quality.score
        is quality.mean_confidence
        is quality.max_chars_per_second
        is quality.mean_chars_per_second
        is None
    )


@pytest.mark.parametrize(
    ("field", "faulty"),
    [
        ("cues_too_fast", cue("Forty letters in a single second it is!", 0, 1000)),
        ("cues_too_fast", cue("十二个汉字在一秒之内显示", 0, 1000)),
        ("cues_too_short", cue("Hm", 0, 500)),
        ("cues_too_long", cue("Hm", 0, 7001)),
        ("cues_with_long_lines", cue("x" * 43, 0, 5000)),
        ("cues_with_long_lines", cue("一" * 17, 0, 5000)),
        ("cues_with_long_lines", cue("one\ntwo\nthree", 0, 5000)),
        ("cues_across_pauses", cue("a b", 0, 5000, (make_word("a", 0, 1), make_word("b", 2.1, 3)))),
    ],
)
def test_each_fault_of_a_cue_is_counted_reported_and_costs_points(field: str, faulty: Cue) -> None:
    quality = measure(faulty, cue("This one is fine.", 8000, 10000))
    assert getattr(quality, field) == 1
    assert quality.score is not None and quality.score < 100
    assert len(quality.issues) == 1
    assert quality.issues[0].startswith("1 of 2 cues ")


def test_overlaps_and_narrow_gaps_are_distinguished() -> None:
    quality = measure(
        cue("one", 0, 1000), cue("two", 900, 2000), cue("three", 2050, 3000), cue("four", 3083, 4000)
    )
    assert (quality.cues_overlapping, quality.gaps_too_short) == (1, 1)


def test_speed_is_given_in_each_scripts_own_characters() -> None:
    quality = measure(cue("ten letter", 0, 1000), cue("十个汉字一秒钟念完了", 2000, 3000))
    assert (quality.max_chars_per_second, quality.mean_chars_per_second) == (10.0, 10.0)


def test_uncertain_words_are_counted_apart_from_readability() -> None:
    words = [make_word(" sure", 0, 1, 0.9), make_word(" unsure", 1, 2, 0.3)]
    quality = measure(words=words)
    assert (quality.low_confidence_share, quality.score) == (0.5, None)
    assert measure(cue("Sure, unsure.", 0, 2000), words=words).score == 100.0
    assert "uncertain" in quality.issues[0]


def test_speech_that_no_word_covers_is_counted_apart_from_readability() -> None:
    words = [make_word(" one", 0, 1), make_word(" two", 1.8, 5)]
    quality = measure(words=words, spans=((0, 5), (20, 25)))
    assert (quality.speech_covered_share, quality.score) == (0.5, None)
    assert quality.issues == ("50% of the detected speech has no words",)


def test_detected_speech_without_any_word_is_not_covered() -> None:
    transcript = make_transcript([], spans=[(0, 5)])
    assert measure_quality((), transcript, OPTIONS).speech_covered_share == 0


def test_the_score_never_falls_below_zero() -> None:
    terrible = [cue("x" * 200, ms, ms + 400) for ms in range(0, 2000, 100)]
    assert measure(*terrible).score == 0
