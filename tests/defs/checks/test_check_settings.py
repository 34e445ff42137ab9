"""How much a check matters is a setting."""

from typing import Any

import dagster as dg
import pytest

from tests.defs.checks.subjects import make_audio, make_info, say
from yivideo_pipeline.defs.checks.base import Subject
from yivideo_pipeline.defs.checks.catalogue import CHECKS, blocked_by, evaluate, specs_of
from yivideo_pipeline.errors.tree import CheckFailed, ConfigValidationError
from yivideo_pipeline.settings.sections import CheckSettings
from yivideo_pipeline.speech.types import Word

SILENT = Subject(make_audio(peak_pct=0), video=make_info())
BACKWARDS = [
    Word(text=" a", start_s=2, end_s=3, confidence=1, source="aligned"),
    Word(text=" b", start_s=1, end_s=2, confidence=1, source="aligned"),
]
DISORDERED = Subject({}, audio=make_audio(), transcript=say(BACKWARDS))
ORDER = "words_are_timed_and_in_order"


def settings(**lists: Any) -> CheckSettings:
    return CheckSettings(**lists)


def test_every_check_has_a_name_of_its_own_and_says_what_it_claims():
    checks = [check for stage in CHECKS.values() for check in stage]
    assert len({check.name for check in checks}) == len(checks)
    assert all(check.claim for check in checks)


def test_a_stage_has_a_spec_for_each_result_and_the_video_none(home):
    specs = specs_of("audio", settings())
    results = evaluate("audio", "a.mp4", SILENT, settings())
    assert [spec.name for spec in specs] == [result.check_name for result in results]
    assert specs_of("video", settings()) == evaluate("video", "a.mp4", SILENT, settings()) == []


def test_a_check_can_be_left_out(home):
    without = settings(skip=("audio_has_sound",))
    assert [spec.name for spec in specs_of("audio", without)] == ["audio_lasts_as_long_as_the_video"]
    assert len(evaluate("audio", "a.mp4", SILENT, without)) == 1


def test_the_settings_decide_between_error_and_warning(home):
    strict = settings(errors=("audio_has_sound",))
    assert evaluate("audio", "a.mp4", SILENT, strict)[0].severity == dg.AssetCheckSeverity.ERROR
    assert evaluate("audio", "a.mp4", SILENT, settings())[0].severity == dg.AssetCheckSeverity.WARN


def test_a_blocking_check_blocks_with_what_is_wrong_and_what_to_do(home):
    (spec,) = specs_of("alignment", settings())
    results = evaluate("alignment", "a.mp4", DISORDERED, settings())
    error = blocked_by("alignment", results, settings())
    assert spec.blocking
    assert isinstance(error, CheckFailed)
    assert not error.retryable
    assert "1 of 2 words before the word ahead of them" in error.message
    assert ORDER in error.hint


def test_a_blocking_check_that_is_only_a_warning_blocks_nothing(home):
    mild = settings(warnings=(ORDER,))
    results = evaluate("alignment", "a.mp4", DISORDERED, mild)
    assert not results[0].passed
    assert not specs_of("alignment", mild)[0].blocking
    assert blocked_by("alignment", results, mild) is None


def test_an_error_of_a_check_that_does_not_block_blocks_nothing(home):
    strict = settings(errors=("audio_has_sound",))
    assert blocked_by("audio", evaluate("audio", "a.mp4", SILENT, strict), strict) is None


@pytest.mark.parametrize("where", ["errors", "warnings", "skip"])
def test_an_unknown_name_is_refused_with_the_nearest_one(home, where):
    with pytest.raises(ConfigValidationError) as caught:
        specs_of("audio", settings(**{where: ("audio_has_sounds",)}))
    assert f"checks.{where}: there is no check 'audio_has_sounds'" in caught.value.message
    assert "did you mean audio_has_sound?" in caught.value.message
    assert ORDER in caught.value.hint


def test_a_check_in_two_lists_is_refused(home):
    with pytest.raises(ConfigValidationError, match=r"checks\.errors and checks\.skip: audio_has_sound"):
        specs_of("audio", settings(errors=("audio_has_sound",), skip=("audio_has_sound",)))


def test_a_check_that_lacks_what_it_looks_at_says_so(home):
    with pytest.raises(ValueError, match="give the subject a transcript"):
        evaluate("transcript", "a.mp4", Subject({}), settings())
