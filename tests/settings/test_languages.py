import pytest

from yivideo_pipeline.settings.languages import normalize_language


@pytest.mark.parametrize(
    ("short", "forms"),
    [
        ("en", ["en", "EN", "eng", "en-GB"]),
        ("zh", ["zh", "zho", "chi", "cmn", "zh_Hant"]),
        ("de", ["ger", "deu"]),
        ("he", ["iw", "heb"]),
        ("yue", ["yue"]),
        ("tlh", ["TLH"]),
    ],
)
def test_every_form_of_a_code_means_the_same_language(short, forms):
    assert {normalize_language(form) for form in forms} == {short}
