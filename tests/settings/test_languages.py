import pytest

from yivideo_pipeline.settings.languages import (
    LANGUAGES,
    ZhScript,
    find_language,
    find_zh_script,
    language_names,
    normalize_language,
)


@pytest.mark.parametrize(
    ("short", "forms"),
    [
        ("en", ["en", "EN", "eng", "en-GB"]),
        ("zh", ["zh", "zho", "chi", "cmn", "zh_Hant"]),
        ("de", ["ger", "deu"]),
        ("he", ["iw", "heb"]),
        ("yue", ["yue", "zh-yue"]),
        ("no", ["no", "nb", "nob", "nor"]),
        ("jw", ["jw", "jv", "jav"]),
        ("tl", ["tl", "tgl", "fil"]),
        ("tlh", ["TLH"]),
    ],
)
def test_every_form_of_a_code_means_the_same_language(short, forms):
    assert {normalize_language(form) for form in forms} == {short}


def test_every_language_of_whisper_is_found_by_its_iso_639_2_codes():
    from langcodes import Language

    for code in LANGUAGES:
        tag = Language.get(code)
        forms = {tag.to_alpha3(variant) for variant in "TB"}
        assert {find_language(form) for form in forms} == {code}
        assert forms <= {*language_names()}


@pytest.mark.parametrize(
    ("tag", "script"),
    [
        ("zh-TW", ZhScript.TRADITIONAL_TW),
        ("zh_tw", ZhScript.TRADITIONAL_TW),
        ("zho-HK", ZhScript.TRADITIONAL_HK),
        ("zh-MO", ZhScript.TRADITIONAL_HK),
        ("yue-HK", ZhScript.TRADITIONAL_HK),
        ("zh-Hant", ZhScript.TRADITIONAL),
        ("cht", ZhScript.TRADITIONAL),
        ("zh-Hans-TW", ZhScript.SIMPLIFIED),
        ("cmn-CN", ZhScript.SIMPLIFIED),
        ("chi", None),
        ("zh", None),
        ("yue", None),
        ("en-TW", None),
        ("no-such-language", None),
    ],
)
def test_a_region_or_script_decides_the_script_of_chinese(tag, script):
    assert find_zh_script(tag) is script
