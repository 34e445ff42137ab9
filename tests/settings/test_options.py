"""What options accept by themselves, before any machine is looked at."""

import pytest
from pydantic import ValidationError

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.settings.languages import LANGUAGES, ZhScript
from yivideo_pipeline.settings.messages import explain
from yivideo_pipeline.settings.options import SpeechOptions, override
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat, SubtitleOptions
from yivideo_pipeline.settings.whisper_models import MODELS


def refusal(**values: object) -> str:
    with pytest.raises(ValidationError) as caught:
        SpeechOptions.model_validate(values)
    (line,) = explain(caught.value, SpeechOptions)
    return line


def test_the_catalogue_has_faster_whispers_models_and_hub_ids():
    from faster_whisper.utils import _MODELS

    assert {name: facts.hub_id for name, facts in MODELS.items()} == _MODELS


def test_the_languages_are_whispers_own():
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert set(LANGUAGES) == set(_LANGUAGE_CODES)


def test_a_revision_is_that_of_a_named_model_and_does_not_go_over_to_another(tmp_path):
    pinned = SpeechOptions(model_name="base", model_revision="0" * 40)
    assert override(pinned, {"language": "en"}).model_revision == "0" * 40
    assert override(pinned, {"model_name": "small"}).model_revision is None
    assert override(pinned, {"model_name": "small", "model_revision": "v2"}).model_revision == "v2"
    assert "name it as model_name" in refusal(model_revision="main")
    assert "is no revision" in refusal(model_name="base", model_revision="sha256:12")
    assert "is no revision" in refusal(model_name="base", model_revision="two words")
    assert "a folder has no revisions" in refusal(model_name=str(tmp_path), model_revision="main")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("english", "en"), ("EN", "en"), ("zh-CN", "zh"), ("zh_TW", "zh"), ("Chinese", "zh"),
        ("Mandarin", "zh"), ("pt-BR", "pt"), ("nb", "no"), ("auto", "auto"), (None, "auto"), (False, "no"),
        ("eng", "en"), ("zho", "zh"), ("chi", "zh"), ("deu", "de"), ("ger", "de"),
    ],
)  # fmt: skip
def test_languages_go_by_code_name_or_regional_tag(given, code):
    assert SpeechOptions(language=given).language == code


@pytest.mark.parametrize(
    ("language", "script", "written"),
    [
        ("zh-TW", ZhScript.TRADITIONAL_TW, "zh-TW"),
        ("chi-HK", ZhScript.TRADITIONAL_HK, "zh-HK"),
        ("zh_Hant", ZhScript.TRADITIONAL, "zh-Hant"),
        ("zh-CN", ZhScript.SIMPLIFIED, "zh"),
        ("zho", ZhScript.SIMPLIFIED, "zh"),
    ],
)
def test_the_region_of_chinese_decides_its_script(language, script, written):
    options = SpeechOptions(language=language)
    assert (options.language, options.zh_script, options.written_language) == ("zh", script, written)


def test_the_region_in_a_request_decides_over_the_script_of_the_settings():
    ours = SpeechOptions(language="zh-TW")
    assert override(ours, {"language": "zh-CN"}).zh_script is ZhScript.SIMPLIFIED
    assert override(ours, {"language": "zh"}).zh_script is ZhScript.TRADITIONAL_TW
    assert override(ours, {"zh_script": "simplified"}).zh_script is ZhScript.SIMPLIFIED


@pytest.mark.parametrize("given", [["zh-TW", "English", False], "zh-TW, eng,no", ("zh-TW", "en", "nb", "zh")])
def test_several_languages_are_their_codes_however_they_are_given(given):
    options = SpeechOptions(language=given)
    assert (options.language, options.languages) == ("zh,en,no", ("zh", "en", "no"))
    assert (options.only_language, options.written_language) == (None, "auto")
    assert options.zh_script is ZhScript.TRADITIONAL_TW


def test_each_of_several_languages_is_checked():
    assert "'germn' is not a language that Whisper knows" in refusal(language="en,germn")
    assert refusal(language=["auto", "en"]).endswith("give it alone, or the languages without it")
    assert "supports English only" in refusal(model_name="tiny.en", language="en,zh")
    assert "does not know Cantonese" in refusal(model_name="base", language="en,yue")


@pytest.mark.parametrize(
    "given",
    [["Grimsby", " Nicolas  Jenson ", "", "Grimsby"], "Grimsby\nNicolas Jenson\n", "Grimsby, Nicolas Jenson"],
)
def test_a_vocabulary_is_its_terms_however_it_is_given(given):
    assert SpeechOptions(vocabulary=given).vocabulary == ("Grimsby", "Nicolas Jenson")
    assert SpeechOptions.model_validate({"vocabulary": None}).vocabulary == ()


def test_a_vocabulary_has_bounds_and_a_request_reads_no_file(tmp_path):
    (tmp_path / "names.txt").write_text("Grimsby")
    assert SpeechOptions(vocabulary=str(tmp_path / "names.txt")).vocabulary != ("Grimsby",)
    assert "1001 terms are too many" in refusal(vocabulary=[f"name {number}" for number in range(1001)])
    assert "has 101 characters" in refusal(vocabulary=["x" * 101])
    assert "vocabulary" in refusal(vocabulary=[3])


def test_an_unknown_language_gets_the_nearest_name():
    assert refusal(language="germn") == (
        "language: 'germn' is not a language that Whisper knows (did you mean german?):"
        " give a code such as zh or en, or auto"
    )


def test_an_unknown_model_gets_the_nearest_name_and_the_list():
    line = refusal(model_name="lage-v2")
    assert line.startswith(
        "model_name: 'lage-v2' is not a known model (did you mean large-v2?): choose one of tiny,"
    )


def test_a_model_may_be_a_folder_or_a_hub_id_but_not_a_folder_that_is_not_there(tmp_path):
    assert SpeechOptions(model_name=str(tmp_path)).model_name == str(tmp_path)
    assert SpeechOptions(model_name="owner/some-model").model_name == "owner/some-model"
    assert "there is no such folder" in refusal(model_name=str(tmp_path / "missing"))


@pytest.mark.parametrize(("model", "other"), [("tiny.en", "tiny"), ("distil-large-v3", "large-v3")])
def test_an_english_model_refuses_another_language(model, other):
    assert refusal(model_name=model, language="zh") == (
        f"model {model} supports English only: choose model_name {other}, or language en"
    )
    assert SpeechOptions(model_name=model, language="en")
    assert SpeechOptions(model_name=model)


def test_cantonese_needs_a_model_that_knows_it():
    assert "choose model_name large-v3 or turbo, or language zh" in refusal(
        model_name="large-v2", language="yue"
    )
    assert SpeechOptions(model_name="turbo", language="yue")


@pytest.mark.parametrize("field", ["batch_size", "faster_whisper_threads", "beam_size"])
def test_numbers_are_bounded(field):
    assert "must be at least 1" in refusal(**{field: 0})
    assert "must be at most" in refusal(**{field: 1000})


def test_formats_come_as_a_list_or_with_commas_each_once():
    assert SubtitleOptions(formats="srt, vtt,srt").formats == (SubtitleFormat.SRT, SubtitleFormat.VTT)


def test_the_shortest_cue_may_not_be_over_the_longest():
    with pytest.raises(ValidationError, match="lower the first or raise the second"):
        SubtitleOptions(min_duration_s=4, max_duration_s=2)


@pytest.mark.parametrize(("task", "written"), [("transcribe", "zh"), ("translate", "en")])
def test_a_translation_is_written_in_english(task, written):
    assert SpeechOptions(language="zh", task=task).written_language == written


def test_values_that_are_given_replace_the_options_own_and_none_keeps_them():
    base = SpeechOptions(model_name="small", language="zh", batch_size=2)
    changed = override(base, {"language": "German", "batch_size": None})
    assert (changed.model_name, changed.language, changed.batch_size) == ("small", "de", 2)
    assert override(SubtitleOptions(), {"formats": "srt,vtt"}).formats == ("srt", "vtt")
    assert base.language == "zh"


def test_values_that_are_refused_name_each_field_below_its_section():
    with pytest.raises(ConfigValidationError) as caught:
        override(SpeechOptions(), {"batch_size": 0, "modle_name": "tiny"}, "launch", hint="Change the launch")
    lines = caught.value.message.splitlines()
    assert lines[0] == "launch.batch_size: 0 is not allowed: must be at least 1"
    assert lines[1].startswith("launch.modle_name: is not a known key (did you mean model_name?)")
    assert caught.value.hint == "Change the launch"


def test_values_that_do_not_go_with_the_others_are_refused():
    base = SpeechOptions(language="zh")
    with pytest.raises(ConfigValidationError, match=r"^model tiny\.en supports English only"):
        override(base, {"model_name": "tiny.en"})


def test_a_refusal_calls_fields_what_the_user_calls_them():
    with pytest.raises(ConfigValidationError, match=r"^--batch-size: 99 is not allowed"):
        override(SpeechOptions(), {"batch_size": 99}, name_field=lambda name: f"--{name.replace('_', '-')}")
