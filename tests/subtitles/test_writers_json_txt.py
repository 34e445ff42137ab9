import json

from tests.subtitles.transcripts import make_transcript, make_word, speak
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.subtitles.writers import render


def as_json(transcript: Transcript) -> dict:
    return json.loads(render((), transcript, SubtitleFormat.JSON))


def as_text(words: list[Word], language: str = "en") -> str:
    return render((), make_transcript(words, language), SubtitleFormat.TXT)


def test_json_has_the_shape_that_whisperx_tools_read() -> None:
    words = [make_word(" Hello", 0.12345, 0.5, 0.98765), make_word(" there.", 0.5, 1.0006, 1.0)]
    first = {"word": "Hello", "start": 0.123, "end": 0.5, "score": 0.988, "source": "attention"}
    second = {"word": "there.", "start": 0.5, "end": 1.001, "score": 1.0, "source": "attention"}
    assert as_json(make_transcript(words)) == {
        "segments": [
            {
                "start": 0.123,
                "end": 1.001,
                "text": "Hello there.",
                "words": [first, second],
                "avg_logprob": -0.2,
                "language": "en",
            }
        ],
        "word_segments": [first, second],
        "language": "en",
        "wordless_spans": [],
    }


def test_json_without_speech_has_empty_lists() -> None:
    transcript = make_transcript([], spans=[(1.0, 3.0)])
    wordless = [{"start": 1.0, "end": 3.0, "reason": "unknown"}]
    empty = {"segments": [], "word_segments": [], "language": "en"}
    assert as_json(transcript) == {**empty, "wordless_spans": wordless}


def test_json_holds_any_text_exactly() -> None:
    text = '<i>{\\an8} --> & "quoted"\n世界'
    (word,) = as_json(make_transcript([make_word(text, 0, 1)]))["word_segments"]
    assert word["word"] == text


def test_json_writes_chinese_as_it_is_and_ends_in_a_line_break() -> None:
    text = render((), make_transcript(speak("你好", spaced=False), "zh"), SubtitleFormat.JSON)
    assert "你" in text
    assert text.endswith("}\n")


def test_plain_text_has_a_sentence_a_line() -> None:
    words = speak("Dr. Smith left. Did he come back? No, he never did.")
    assert as_text(words) == "Dr. Smith left.\nDid he come back?\nNo, he never did.\n"


def test_plain_text_has_no_spaces_in_chinese() -> None:
    words = speak("今天是星期三。欢迎收看ABC新闻！", spaced=False)
    assert as_text(words, "zh") == "今天是星期三。\n欢迎收看ABC新闻！\n"


def test_speech_without_punctuation_begins_a_line_after_a_long_pause() -> None:
    words = [*speak("one two three"), *speak("four five", start_s=5)]
    assert as_text(words) == "one two three\nfour five\n"


def test_plain_text_without_speech_is_empty() -> None:
    assert as_text([]) == ""
