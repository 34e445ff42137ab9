import pytest

from tests.subtitles.transcripts import make_transcript, speak
from yivideo_pipeline.defs.documents import render_subtitles
from yivideo_pipeline.settings.languages import ZhScript
from yivideo_pipeline.settings.options import SubtitleOptions


@pytest.mark.parametrize(
    ("script", "tag"),
    [
        (ZhScript.SIMPLIFIED, "zh"),
        (ZhScript.TRADITIONAL, "zh-Hant"),
        (ZhScript.TRADITIONAL_TW, "zh-TW"),
        (ZhScript.TRADITIONAL_HK, "zh-HK"),
        (None, "zh"),  # a transcript of an older version
    ],
)
def test_the_language_that_names_the_files_has_the_script_of_chinese(script, tag, tmp_path):
    words = make_transcript(speak("大家好", 4, spaced=False), "zh").model_copy(update={"zh_script": script})
    document = render_subtitles(words, SubtitleOptions(formats=("ttml",)), "talk", tmp_path)
    assert document["language"] == tag
    assert f'xml:lang="{tag}"' in (tmp_path / "subtitles.ttml").read_text(encoding="utf-8")
