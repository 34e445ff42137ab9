"""One sound in several languages, and names that the decoder is told: by numbers, and by base on sound."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.speech.make_sound import join_sounds, read_samples
from yivideo_pipeline.comparison.accuracy import count_errors
from yivideo_pipeline.comparison.corpus import Clip, load_corpus
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.engine import SpeechEngine
from yivideo_pipeline.speech.language_runs import find_stretches
from yivideo_pipeline.speech.loading import load_engine
from yivideo_pipeline.speech.types import Transcript

PAUSE = 0.2
ORDINARY = [("en", 6.0), ("en", 5.0)]


def stretches(spoken, *, languages=("en", "de", "fr"), before="", after=""):
    """What is found in a chunk of given phrases, by a model that knows them and what is around them."""
    edges = np.cumsum([0.0, *(length + PAUSE for _, length in spoken)])
    activity = np.zeros(round(edges[-1] * 100))
    for start, (_, length) in zip(edges, spoken, strict=False):
        activity[round(start * 100) : round((start + length) * 100)] = 1.0

    def detect(parts):
        found = []
        for start_s, end_s in parts:
            total = dict.fromkeys(("en", "de", "fr"), 0.01)
            for (language, _), (first, last) in zip(spoken, pairwise(edges), strict=True):
                total[language] += max(0.0, min(last, end_s) - max(first, start_s))
            found.append({code: value / sum(total.values()) for code, value in total.items()})
        return found

    found = find_stretches(
        activity, "en", languages, detect, lambda is_after: {after if is_after else before: 1.0}
    )
    assert (found[0].start_s, found[-1].end_s) == (0.0, pytest.approx(len(activity) / 100))
    assert all(one.end_s == other.start_s for one, other in pairwise(found))
    return [(one.language, round(one.start_s)) for one in found]


@pytest.mark.parametrize(
    ("spoken", "found"),
    [
        ([], [("en", 0)]),
        ([("de", 2.5)], [("en", 0)]),
        ([("de", 1.5), ("de", 2.0)], [("en", 0), ("de", 11), ("en", 15)]),
        ([("de", 4.0), ("fr", 4.0)], [("en", 0), ("de", 11), ("fr", 16), ("en", 20)]),
        ([("de", 4.0), ("en", 2.0), ("de", 4.0)], [("en", 0), ("de", 11), ("en", 22)]),
    ],
)
def test_a_stretch_of_three_seconds_is_a_change_and_a_shorter_one_is_none(spoken, found):
    assert stretches([*ORDINARY, *spoken, *ORDINARY]) == found


def test_a_language_that_can_not_be_spoken_is_not_found():
    spoken = [*ORDINARY, ("de", 5.0), *ORDINARY]
    assert stretches(spoken, languages=("en", "fr")) == [("en", 0)]
    assert stretches(spoken, languages=("en", "de")) == [("en", 0), ("de", 11), ("en", 16)]


def test_a_short_stretch_at_an_end_counts_with_what_is_beyond():
    spoken = [*ORDINARY, ("de", 2.5)]
    assert stretches(spoken, after="de") == [("en", 0), ("de", 11)]
    assert stretches(spoken, after="en") == [("en", 0)]
    assert stretches([("de", 2.9), *ORDINARY], before="de") == [("de", 0), ("en", 3)]
    assert stretches([("de", 2.9), *ORDINARY], before="en") == [("en", 0)]


def test_a_chunk_wholly_in_another_language_is_one_stretch():
    assert stretches([("fr", 6.0), ("fr", 5.0)]) == [("fr", 0)]


# On recordings.


@pytest.fixture(scope="module")
def base(model_dir: Path, base_weights) -> SpeechEngine:
    return load_engine(SpeechOptions(model_name="base"), model_dir, offline=True)


@pytest.fixture(scope="module")
def clips(corpus: Path) -> dict[str, Clip]:
    return {clip.path.stem: clip for folder in (corpus, corpus / "world") for clip in load_corpus(folder)}


def recognize(base: SpeechEngine, path: Path, sounds: list[np.ndarray], **options) -> Transcript:
    return base.transcribe(join_sounds(path, *sounds), SpeechOptions(model_name="base", **options))


@pytest.mark.model
@pytest.mark.corpus
def test_each_speaker_is_recognized_in_his_language(base, clips, tmp_path):
    names = ("LJ001-0001", "zh-news", "pv-es")
    sounds = [read_samples(clips[name].path) for name in names]
    title = read_samples(clips["zh-damo"].path)[: 2 * SAMPLE_RATE_HZ]
    transcript = recognize(base, tmp_path / "a.wav", [*sounds, title], language="en,zh,es")
    edges = np.cumsum([0, *map(len, sounds)]) / SAMPLE_RATE_HZ
    assert set(transcript.languages) == {"en", "zh", "es"}
    assert transcript.language_probability > 0.9
    wrong = words = 0
    for name, (start, end) in zip(names, pairwise(edges), strict=True):
        own = [one for one in transcript.segments if start <= (one.start_s + one.end_s) / 2 < end]
        assert {transcript.language_of(one) for one in own} == {clips[name].language}
        errors = count_errors(clips[name].text, "".join(one.text for one in own), clips[name].language)
        wrong, words = wrong + errors[0], words + errors[1]
    assert wrong / words < 0.15
    assert not any(
        transcript.language_of(one) == "zh" for one in transcript.segments if one.start_s > edges[-1]
    )


@pytest.mark.model
@pytest.mark.corpus
def test_a_name_is_spelled_as_the_vocabulary_has_it(base, clips, tmp_path):
    sound = [read_samples(clips["LJ001-0007"].path)]
    plain = recognize(base, tmp_path / "a.wav", sound, language="en")
    told = recognize(base, tmp_path / "b.wav", sound, language="en", vocabulary="Schoeffer, Gutenberg")
    assert "Gutenberg" not in "".join(one.text for one in plain.segments)
    assert re.search(r"\bGutenberg\b", "".join(one.text for one in told.segments))
    assert told.warnings == plain.warnings
