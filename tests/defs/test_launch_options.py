from typing import get_args

import pytest

from yivideo_pipeline.defs.resources import Launch, Listener, SpeechConfig, SubtitleConfig
from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import SpeechOptions, SubtitleFormat, SubtitleOptions


def launch(**given) -> Launch:
    return Launch(settings=load_settings(), listener=Listener(), **given)


@pytest.mark.parametrize(
    ("config", "options"), [(SpeechConfig, SpeechOptions), (SubtitleConfig, SubtitleOptions)]
)
def test_a_launch_can_change_every_option(home, config, options):
    assert list(config.model_fields) == list(options.model_fields)
    for name, field in config.model_fields.items():
        assert type(None) in get_args(field.annotation), f"{name} can be left out"
        assert options.model_fields[name].description in field.description


def test_what_the_launch_leaves_open_is_as_the_settings_say(home, monkeypatch):
    monkeypatch.setenv("YIVIDEO_SPEECH__BEAM_SIZE", "2")
    options = launch(speech=SpeechConfig(language="chinese")).speech_options()
    assert (options.beam_size, options.language) == (2, "zh")


def test_lists_are_taken_as_formats(home):
    options = launch(subtitles=SubtitleConfig(formats=["vtt", "json"])).subtitle_options()
    assert options.formats == (SubtitleFormat.VTT, SubtitleFormat.JSON)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"speech": SpeechConfig(batch_size=0)}, r"speech\.batch_size: .*at least 1"),
        ({"speech": SpeechConfig(device="tpu")}, r"speech\.device: .*cuda"),
        ({"subtitles": SubtitleConfig(formats=["doc"])}, r"subtitles\.formats: .*srt"),
    ],
)
def test_what_cannot_be_is_refused_in_plain_words(home, given, words):
    with pytest.raises(ConfigValidationError, match=words):
        asked = launch(**given)
        asked.speech_options()
        asked.subtitle_options()


def test_all_wrong_fields_are_named_at_once(home):
    with pytest.raises(ConfigValidationError) as raised:
        launch(speech=SpeechConfig(batch_size=0, beam_size=99)).speech_options()
    assert len(raised.value.message.splitlines()) == 2
