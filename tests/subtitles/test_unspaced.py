"""Scripts without spaces: lines and cues end between words."""

import sys

import pytest

from tests.subtitles.transcripts import make_transcript, make_word, speak
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.speech.align.text import split_words
from yivideo_pipeline.subtitles.cues import build_cues
from yivideo_pipeline.subtitles.tokens import NEVER_FIRST, tokenize
from yivideo_pipeline.subtitles.unspaced import inside_phrases

SPOKEN = {
    "zh": (
        "我们使用的数据集来自达摩院的语音实验室欢迎大家来体验达摩院推出的语音识别模型他在中国人民大学学习人工智能",
        "我们 使用 数据集 来自 达摩院 语音 实验室 大家 体验 推出 识别 模型 中国 人民 大学 学习 人工 智能",
    ),
    "zh-Hant": (
        "數據集來自達摩院的語音實驗室軟體工程師使用區塊鏈技術開發新的應用程式並且提供給大家下載",
        "數據集 來自 達摩院 語音 實驗室 軟體 工程師 使用 區塊鏈 技術 開發 應用 程式 提供 大家 下載",
    ),
    "ja": (
        "このファイルをサーバーにアップロードしてからデータベースのバックアップを取ってください"
        "東京都に住んでいますがもうしわけございませんそうしないと大切な情報が失われる可能性があります",
        "ファイルを サーバーに アップロード データベース バックアップ 取ってください 東京都 情報が 可能性",
    ),
    "th": (
        "วันนี้เราจะมาพูดถึงประวัติศาสตร์ของการพิมพ์หนังสือในประเทศไทยซึ่งเริ่มต้นขึ้นในสมัยรัตนโกสินทร์และมีการพัฒนาอย่างต่อเนื่องจนถึงปัจจุบัน",
        "ประวัติศาสตร์ การพิมพ์ หนังสือ ประเทศไทย สมัย รัตนโกสินทร์ การพัฒนา อย่าง จนถึง ปัจจุบัน",
    ),
    "lo": (
        "ພາສາລາວເປັນພາສາທາງການຂອງສາທາລະນະລັດປະຊາທິປະໄຕປະຊາຊົນລາວແລະມີການພັດທະນາຢ່າງຕໍ່ເນື່ອງ",
        "ພາສາ ທາງການ ສາທາລະນະລັດ ປະຊາທິປະໄຕ ປະຊາຊົນ",
    ),
    "km": (
        "ភាសាខ្មែរគឺជាភាសាផ្លូវការរបស់ប្រទេសកម្ពុជាហើយវាត្រូវបានប្រើប្រាស់ដោយប្រជាជនភាគច្រើន",
        "ភាសាខ្មែរ គឺជា ភាសាផ្លូវការ ប្រទេស កម្ពុជា ប្រើប្រាស់ ប្រជាជន",
    ),
    "my": (
        "မြန်မာဘာသာစကားသည်မြန်မာနိုင်ငံ၏ရုံးသုံးဘာသာစကားဖြစ်သည်မြန်မာလူမျိုးများပြောဆိုကြသည်",
        "မြန်မာဘာသာ စကား မြန်မာနိုင်ငံ ဖြစ်သည်",
    ),
}


def lines_of(text: str, language: str, rate: float, **options) -> list[str]:
    """Return the lines of a text, each of its characters a word, as a recognizer gives it."""
    words = [make_word(word, at / rate, (at + 0.9) / rate) for at, word in enumerate(split_words(text))]
    cues = build_cues(make_transcript(words, language), SubtitleOptions(**options))
    return [line for cue in cues for line in cue.lines]


@pytest.mark.parametrize("language", SPOKEN)
@pytest.mark.parametrize("rate", [4, 6, 9])
@pytest.mark.parametrize("width", [11, 13, 16])
def test_no_line_begins_inside_a_word(language, rate, width):
    text, words = SPOKEN[language]
    lines = lines_of(text, language, rate, max_chars_per_line_cjk=width, max_chars_per_line=2 * width + 8)
    assert "".join(lines) == text
    assert len(lines) > 1
    whole = {word: text.count(word) for word in words.split()}
    assert {word: sum(line.count(word) for line in lines) for word in whole} == whole


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("เร็วๆเข้า", "เร็วๆ/เข้า"),
        ("クラウドコンピューティングサービス", "クラウドコンピューティングサービス"),
        ("行かなければなりません", "行かなければなりません"),
        ("彼女は大学で経済学を勉強しています", "彼女は/大学で/経済学を/勉強しています"),
        ("𠮷野家の牛丼", "𠮷野家の/牛丼"),  # beyond the first 65,536 characters
        ("བོད་སྐད་ཡིན", "བོད/་/སྐད/་/ཡིན"),
        ("It's 3.5 km, isn't it?", None),
    ],
)
def test_words_and_phrases_are_found(text, marked):
    inside = inside_phrases(text)
    parts = "".join(char if at in inside or not at else f"/{char}" for at, char in enumerate(text))
    assert parts == marked if marked else not inside


def test_marks_of_these_scripts_stay_with_the_word_before_them():
    assert {"ๆ", "ໆ", "ៗ", "။", "་"} <= NEVER_FIRST
    tokens = tokenize(make_transcript([make_word(w, 0, 1) for w in split_words("เร็วๆเข้า")], "th"), 1000)
    assert [token.text for token in tokens] == ["เร็วๆ", "เข้า"]


def test_a_phrase_wider_than_a_line_is_cut_between_words():
    assert lines_of("国立国会図書館", "ja", 5, max_chars_per_line_cjk=8) == ["国立国会図書館"]
    long = "食べさせられたくなかったのでしょうかと"
    assert all(len(line) <= 8 for line in lines_of(long, "ja", 5, max_chars_per_line_cjk=8, max_lines=4))


def test_a_long_pause_parts_even_a_word():
    words = [make_word("数", 0.0, 0.2), make_word("据", 5.0, 5.2), make_word("集", 5.2, 5.4)]
    cues = build_cues(make_transcript(words, "zh"), SubtitleOptions())
    assert [cue.text for cue in cues] == ["数", "据集"]


def test_the_dictionaries_are_loaded_for_such_a_script_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "icu4py.breakers", None)
    monkeypatch.setitem(sys.modules, "budoux", None)
    assert build_cues(make_transcript(speak("Привет, мир. It's 3.5 km — 한국어 자막.")), SubtitleOptions())
    with pytest.raises(ImportError):
        lines_of("数据集", "zh", 5)
