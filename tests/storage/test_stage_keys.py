import pytest
from hypothesis import given
from hypothesis import strategies as st

from yivideo_pipeline.storage.artifacts import stage_key

OPTIONS = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text())


@given(options=OPTIONS)
def test_the_order_of_the_options_does_not_matter(options):
    backwards = dict(reversed(options.items()))
    assert stage_key("audio", "1", {"video": "a"}, options) == stage_key(
        "audio", "1", {"video": "a"}, backwards
    )


@pytest.mark.parametrize(
    "other",
    [
        ("transcript", "1", {"video": "a"}, {"stream": 1}),
        ("audio", "2", {"video": "a"}, {"stream": 1}),
        ("audio", "1", {"video": "b"}, {"stream": 1}),
        ("audio", "1", {"video": "a"}, {"stream": 2}),
        ("audio", "1", {"video": "a"}, {"stream": "1"}),
        ("audio", "1", {"video": "a"}, {}),
    ],
)
def test_each_thing_that_decides_changes_the_key(other):
    assert stage_key(*other) != stage_key("audio", "1", {"video": "a"}, {"stream": 1})


def test_a_key_stays_the_same_over_releases():
    assert stage_key("audio", "1", {"video": "é"}, {"stream": 1}) == "8c6f2d3197eec8ba243c9290cdaa246e"


def test_what_json_can_not_express_is_refused():
    with pytest.raises(ValueError):
        stage_key("audio", "1", {}, {"x": float("nan")})
