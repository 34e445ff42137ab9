"""What each check says of good work and of bad."""

import dagster as dg
import pytest

from tests.defs.checks.subjects import OPTIONS, make_audio, make_info, make_subtitles, say
from tests.subtitles.transcripts import make_word, speak
from yivideo_pipeline.defs.checks.base import Speed, Subject
from yivideo_pipeline.defs.checks.catalogue import evaluate
from yivideo_pipeline.settings.sections import CheckSettings
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.types import Span
from yivideo_pipeline.subtitles.cues import Cue
from yivideo_pipeline.subtitles.quality import measure_quality

KEY = "talks/a.mp4"
USUAL = (10.0, 12.0, 11.0, 9.0, 30.0)


def judge(stage: str, name: str, subject: Subject) -> dg.AssetCheckResult:
    results = {result.check_name: result for result in evaluate(stage, KEY, subject, CheckSettings())}
    result = results[name]
    assert str(result.description).startswith(f"{KEY}: ")
    assert result.metadata["video"].value == KEY
    return result


def number(result: dg.AssetCheckResult, name: str) -> object:
    return result.metadata[name].value


def words_subject(transcript=None, **given) -> Subject:
    spoken = transcript or say()
    return Subject(
        spoken.model_dump(mode="json"), video=make_info(), audio=make_audio(), transcript=spoken, **given
    )


@pytest.mark.parametrize(
    "audio",
    [make_audio(peak_pct=0), make_audio(0.0, outline=[])],
    ids=["silent", "empty"],
)
def test_a_track_without_sound_is_reported_as_a_warning(home, audio):
    result = judge("audio", "audio_has_sound", Subject(audio))
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_a_quiet_track_has_sound(home):
    assert judge("audio", "audio_has_sound", Subject(make_audio(peak_pct=1))).passed


@pytest.mark.parametrize(
    ("sound_s", "video_s", "agree"),
    [
        (60.0, 60.0, True),
        (58.1, 60.0, True),
        (57.0, 60.0, False),
        (64.0, 60.0, False),
        (3570.0, 3600.0, True),
    ],
)
def test_sound_and_video_may_end_a_little_apart(home, sound_s, video_s, agree):
    subject = Subject(make_audio(sound_s), video=make_info(video_s))
    assert judge("audio", "audio_lasts_as_long_as_the_video", subject).passed is agree


def test_late_sound_ends_with_the_video(home):
    subject = Subject(make_audio(50.0, offset_s=10.0), video=make_info(60.0))
    assert judge("audio", "audio_lasts_as_long_as_the_video", subject).passed


def test_a_file_that_breaks_off_is_reported_with_the_second(home):
    subject = Subject(make_audio(30.0, truncated_at_s=30.0), video=make_info(60.0))
    result = judge("audio", "audio_lasts_as_long_as_the_video", subject)
    assert not result.passed
    assert "breaks off at 30.0 s" in str(result.description)


def test_a_length_that_no_one_knows_is_no_fault(home):
    subject = Subject(make_audio(), video=make_info(None))
    result = judge("audio", "audio_lasts_as_long_as_the_video", subject)
    assert result.passed
    assert "video_s" not in result.metadata


def test_speech_without_a_word_is_an_error(home):
    result = judge(
        "transcript", "transcript_is_not_empty_though_there_is_speech", words_subject(say([], 30.0))
    )
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert number(result, "speech_s") == 30.0


@pytest.mark.parametrize("heard_s", [0.0, 1.0])
def test_a_silent_video_passes_all_checks_of_the_transcript(home, heard_s):
    results = evaluate("transcript", KEY, words_subject(say([], heard_s)), CheckSettings())
    assert [result.check_name for result in results if not result.passed] == []


@pytest.mark.parametrize(("probability", "sure"), [(0.99, True), (0.5, True), (0.49, False)])
def test_the_language_is_sure_from_the_threshold_on(home, probability, sure):
    subject = words_subject(say(language_probability=probability))
    assert judge("transcript", "language_is_sure", subject).passed is sure


def test_speech_that_no_word_covers_is_reported_with_its_seconds(home):
    words = speak("One two three four five six seven eight nine ten.")
    subject = words_subject(say(words, heard_s=words[-1].end_s + 20))
    result = judge("transcript", "speech_is_covered", subject)
    assert not result.passed
    assert number(result, "missing_s") == pytest.approx(20, abs=0.01)


def test_a_span_of_speech_without_a_word_is_reported_with_its_place(home):
    words = speak("One two three four five six seven eight nine ten.")
    end_s = words[-1].end_s
    spans = (Span(start_s=0, end_s=end_s), Span(start_s=end_s + 1, end_s=end_s + 1.9))
    result = judge(
        "transcript",
        "speech_is_covered",
        words_subject(say(words).model_copy(update={"speech_spans": spans})),
    )
    assert not result.passed
    assert f"{end_s + 1:.1f}-{end_s + 1.9:.1f} s" in str(result.description)
    assert number(result, "wordless_spans") == 1


def test_a_sigh_that_no_word_covers_is_no_fault(home):
    words = speak("Yes.")
    assert judge("transcript", "speech_is_covered", words_subject(say(words, words[-1].end_s + 1.5))).passed


@pytest.mark.parametrize(
    ("speed", "usual_enough"),
    [
        (Speed(4.0, USUAL), True),
        (Speed(3.0, USUAL), False),
        (Speed(0.1, USUAL[:4]), True),
        (Speed(None, USUAL), True),
        (None, True),
    ],
    ids=["a third of the usual", "slower", "too few to compare", "reused", "no speed"],
)
def test_a_speed_far_below_the_usual_is_reported(home, speed, usual_enough):
    subject = words_subject(say(duration_s=3600.0), speed=speed)
    assert judge("transcript", "speed_is_usual", subject).passed is usual_enough


def test_a_short_video_that_waited_for_the_model_is_no_anomaly(home):
    subject = words_subject(say(duration_s=20.0), speed=Speed(1.0, USUAL))
    assert judge("transcript", "speed_is_usual", subject).passed


def test_a_slow_transcript_is_reported_with_the_machines_usual_speed(home):
    subject = words_subject(say(duration_s=3600.0), speed=Speed(1.0, USUAL))
    result = judge("transcript", "speed_is_usual", subject)
    assert number(result, "usual_rtfx") == 11.0
    assert "11.0 × is usual" in str(result.description)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([make_word(" a", 1, 2), make_word(" b", 0.5, 3)], "unordered_words"),
        ([make_word(" a", 2, 1)], "untimed_words"),
        ([make_word(" a", float("nan"), 1)], "untimed_words"),
        ([make_word(" a", 59, 61)], "outside_words"),
        ([make_word(" a", -2, 1)], "outside_words"),
    ],
)
def test_a_word_without_its_place_is_a_blocking_error(home, words, fault):
    result = judge("alignment", "words_are_timed_and_in_order", words_subject(say(words)))
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert number(result, fault) == 1
    assert "1 of" in str(result.description)


def test_words_at_the_very_edges_and_of_no_length_are_in_their_place(home):
    words = [make_word(" a", -0.1, 0), make_word(" b", 0, 0), make_word(" c", 0, 60.3)]
    assert judge("alignment", "words_are_timed_and_in_order", words_subject(say(words))).passed


def test_good_subtitles_pass_every_check(home):
    results = evaluate("subtitles", KEY, make_subtitles(), CheckSettings())
    assert {result.check_name: result.passed for result in results} == {
        "cues_obey_the_profile": True,
        "files_read_back": True,
        "cues_end_within_the_video": True,
    }


def profile_of(*cues: Cue) -> Subject:
    quality = measure_quality(cues, say(), SubtitleOptions()).model_dump(mode="json")
    return Subject({"quality": quality}, transcript=say(), options=OPTIONS, read=lambda name: b"")


FINE = tuple(Cue(at, at + 1500, ("Ten chars.",), ()) for at in range(0, 40_000, 2000))


@pytest.mark.parametrize(
    ("fault", "cue"),
    [
        ("cues_overlapping", Cue(38_500, 41_000, ("It begins before the last ends.",), ())),
        ("cues_too_long", Cue(41_000, 49_000, ("Eight seconds.",), ())),
    ],
)
def test_one_cue_that_we_cut_wrongly_is_reported(home, fault, cue):
    cues = (*FINE[:-1], Cue(38_000, 39_500, ("Ten chars.",), ()), cue)
    result = judge("subtitles", "cues_obey_the_profile", profile_of(*cues))
    assert (result.passed, number(result, fault)) == (False, 1)


@pytest.mark.parametrize(("fast", "obeys"), [(2, True), (3, False)])
def test_a_tenth_of_the_cues_may_be_as_fast_as_the_speech(home, fast, obeys):
    hurried = tuple(Cue(c.start_ms, c.end_ms, ("x" * 40,), ()) for c in FINE[:fast])
    assert judge("subtitles", "cues_obey_the_profile", profile_of(*hurried, *FINE[fast:])).passed is obeys


def test_cues_that_run_on_after_the_video_are_reported(home):
    subject = make_subtitles(say(speak("It was said too late.", start_s=61.0)))
    result = judge("subtitles", "cues_end_within_the_video", subject)
    assert not result.passed
    assert number(result, "video_end_s") == 60.0


def test_no_cue_may_linger_after_the_video(home):
    words = speak("The end.", start_s=59.3)
    assert not judge("subtitles", "cues_end_within_the_video", make_subtitles(say(words))).passed
    assert judge("subtitles", "cues_end_within_the_video", make_subtitles(say(words, end_s=60.0))).passed
