"""Chinese in the wanted script, word by word, at the same times."""

import pytest

from tests.speech.make_sound import join_sounds, silence, spoken_words
from yivideo_pipeline.settings.languages import ZhScript
from yivideo_pipeline.settings.options import SpeechOptions, Task
from yivideo_pipeline.speech.align.text import split_words
from yivideo_pipeline.speech.assemble import Heard, assemble_transcript
from yivideo_pipeline.speech.chinese import convert_segment, write_chinese
from yivideo_pipeline.speech.types import Segment, Word

PAIRS = [
    ("欢迎大家来体验语音识别。", "歡迎大家來體驗語音識別。"),
    ("他的头发干了，皇后在后面。", "他的頭髮幹了，皇后在後面。"),
    ("我用 Python 写程序", "我用 Python 寫程序"),
]


def segment(text: str) -> Segment:
    words = tuple(
        Word(text=word, start_s=i / 4, end_s=i / 4 + 0.2, confidence=0.5 + i / 100, source="attention")
        for i, word in enumerate(split_words(text))
    )
    return Segment(
        start_s=0.0, end_s=words[-1].end_s, text=text, words=words, avg_logprob=-0.3, no_speech_prob=0.1
    )


@pytest.mark.parametrize(("simplified", "traditional"), PAIRS)
def test_text_comes_out_in_the_wanted_script_whichever_it_was_in(simplified, traditional):
    for text in (simplified, traditional):
        assert convert_segment(segment(text), ZhScript.SIMPLIFIED).text == simplified
    assert convert_segment(segment(simplified), ZhScript.TRADITIONAL).text == traditional


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (ZhScript.TRADITIONAL, "為了這裡的群眾著急"),
        (ZhScript.TRADITIONAL_TW, "為了這裡的群眾著急"),
        (ZhScript.TRADITIONAL_HK, "為了這裏的羣眾着急"),
    ],
)
def test_traditional_characters_are_those_of_the_region(script, text):
    assert convert_segment(segment("为了这里的群众着急"), script).text == text


@pytest.mark.parametrize(("simplified", "traditional"), PAIRS)
@pytest.mark.parametrize("script", ZhScript)
def test_words_stay_at_their_times_and_joined_are_the_text(simplified, traditional, script):
    for text in (simplified, traditional):
        before = segment(text)
        after = convert_segment(before, script)
        assert "".join(word.text for word in after.words) == after.text
        assert [word.model_copy(update={"text": ""}) for word in after.words] == [
            word.model_copy(update={"text": ""}) for word in before.words
        ]
        assert [len(word.text) for word in after.words] == [len(word.text) for word in before.words]


def test_quotation_marks_are_those_of_the_script():
    assert write_chinese(segment('他说:"你好."'), ZhScript.TRADITIONAL).text == "他說：「你好。」"


def test_a_character_is_converted_by_the_sentence_around_it():
    words = convert_segment(segment("头发发现"), ZhScript.TRADITIONAL).words
    assert [word.text for word in words] == ["頭", "髮", "發", "現"]


@pytest.mark.parametrize(
    ("heard", "written"),
    [
        ("你好, 世界!", "你好，世界！"),
        ("价格是3.5元,总共1,000块.", "价格是3.5元，总共1,000块。"),
        ("现在10:30,我们开始(第一部分).", "现在10:30，我们开始（第一部分）。"),
        ("我用Python,他用Java.", "我用Python，他用Java。"),
        ("支持Python, Java, C++等语言.", "支持Python, Java, C++等语言。"),
        ("U.S.政府和Mr.王说:好吗?", "U.S.政府和Mr.王说：好吗？"),
        ("访问http://example.com/a?b=1,谢谢", "访问http://example.com/a?b=1，谢谢"),
        ("人工智能(AI)的发展...很快;f(x)函数", "人工智能（AI）的发展……很快；f(x)函数"),
        ("1.打开文件", "1.打开文件"),
        ('他说:"你好." 再说"Hello"', '他说：“你好。”再说"Hello"'),
        ("增长了50%, 是吗?!", "增长了50%，是吗？！"),
        ("好。对,不对", "好。对，不对"),
        ("OK, fine.", "OK, fine."),
    ],
)
def test_marks_are_full_width_in_sentences_and_half_width_in_numbers_and_latin(heard, written):
    before = segment(heard)
    after = write_chinese(before, ZhScript.SIMPLIFIED)
    assert after.text == written == "".join(word.text for word in after.words)
    assert [(word.start_s, word.end_s) for word in after.words] == [
        (word.start_s, word.end_s) for word in before.words
    ]
    assert all(word.text.strip() for word in after.words)


@pytest.mark.parametrize(
    ("options", "language", "text", "tag"),
    [
        (SpeechOptions(language="zh-TW"), "zh", "為了，你", "zh-TW"),
        (SpeechOptions(language="zh-HK", task=Task.TRANSLATE), "zh", "为了,你", "en"),
        (SpeechOptions(), "ja", "为了,你", "ja"),
    ],
)
def test_the_transcript_has_its_script_if_its_words_are_chinese(options, language, text, tag, tmp_path):
    audio = join_sounds(tmp_path / "a.wav", silence(1))
    words = [("为", 0.0, 0.1), ("了,", 0.1, 0.2), ("你", 0.2, 0.3)]
    heard = Heard(spoken_words(words, language=language))
    transcript = assemble_transcript(audio, options, (), heard, {language: 1.0}, model="base", revision="1")
    assert transcript.segments[0].text == text
    assert transcript.language_tag == tag
