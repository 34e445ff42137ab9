import pytest

from yivideo_pipeline.cli.preflight import Choices
from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.settings.load import load_settings

NOTHING = {"model_name": None, "language": None, "batch_size": None}


def test_what_is_not_given_stays_as_the_settings_say(home):
    chosen = Choices(NOTHING, {"formats": None}).over(load_settings())
    assert chosen.speech == load_settings().speech.options
    assert (chosen.speech_given, chosen.subtitles_given) == ({}, {})


def test_what_is_given_is_understood_once(home, tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    chosen = Choices({"language": "German", "model_name": "./weights"}, {"formats": "srt,vtt"}).over(
        load_settings()
    )
    assert chosen.speech_given == {"language": "de", "model_name": str(tmp_path / "weights")}
    assert chosen.subtitles_given == {"formats": ["srt", "vtt"]}


def test_every_wrong_flag_is_named_at_once(home):
    choices = Choices({**NOTHING, "batch_size": 99, "model_name": "bse"}, {"formats": "srt,doc"})
    with pytest.raises(ConfigValidationError) as told:
        choices.over(load_settings())
    lines = told.value.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["--model", "--batch-size", "--format"]
    assert "did you mean base?" in lines[0]


def test_a_flag_that_does_not_go_with_the_settings_is_refused(home, monkeypatch):
    monkeypatch.setenv("YIVIDEO_SPEECH__LANGUAGE", "zh")
    with pytest.raises(ConfigValidationError, match=r"tiny\.en knows English alone"):
        Choices({"model_name": "tiny.en"}, {}).over(load_settings())
