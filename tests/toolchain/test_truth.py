"""How `make bench-truth` counts what a program lost and invented, and what its sounds are."""

import json

import numpy as np
import pytest

from benchmarks.clips import RATE_HZ
from benchmarks.truth import Score, add_scene, judge, read_words
from benchmarks.truth_sounds import Phrase, Scene, build_scenes
from yivideo_pipeline.comparison.corpus import TimedWord


def phrase(*words: tuple[str, float, float], language: str = "en") -> Phrase:
    return Phrase(np.zeros(RATE_HZ), language, tuple(TimedWord(*word) for word in words))


@pytest.fixture
def scene() -> Scene:
    """The cat sat at 1 s, then 你好 at 2 s."""
    made = Scene("row", "cat")
    made.add(phrase(("the", 0.0, 0.2), ("cat", 0.2, 0.5), ("sat", 0.5, 0.9)))
    made.add(phrase(("你", 0.0, 0.4), ("好", 0.4, 0.9), language="zh"))
    return made


def heard(tmp_path, *segments: dict) -> list:
    (tmp_path / "cat.en.json").write_text(json.dumps({"segments": segments}))
    return read_words(tmp_path, "cat")


def word(text: str, start: float, end: float) -> dict:
    return {"word": text, "start": start, "end": end}


def test_lost_words_count_with_their_own_time_and_invented_ones_with_the_programs(scene, tmp_path):
    score = Score()
    words = [("The", 1.05, 1.2), ("sat.", 1.9, 2.0), ("你好", 2.1, 2.9), ("Thanks", 3.0, 3.7)]
    segment = {"text": "", "start": 1.05, "end": 3.7, "words": [word(*one) for one in words]}
    add_scene(score, scene, heard(tmp_path, segment))
    assert score.errors == [(1, 3), (1, 2)]
    assert (score.lost_s, score.invented_s) == (pytest.approx(0.3), pytest.approx(0.7))
    assert score.worst_s == pytest.approx(0.4)
    assert score.error_rate == pytest.approx(2 / 5)


def test_a_program_that_times_no_words_has_no_shift(scene, tmp_path):
    score = Score()
    add_scene(score, scene, heard(tmp_path, {"text": " The cat sat. 你好 yes", "start": 1.0, "end": 3.0}))
    assert (score.errors, score.worst_s) == ([(0, 3), (1, 2)], None)
    assert score.invented_s == pytest.approx(2.0 * 3 / 14)


def test_every_word_is_invented_where_nobody_speaks(tmp_path):
    ours, theirs = Score(), Score()
    for score, words in ((ours, heard(tmp_path, {"text": "Bye", "start": 1, "end": 2})), (theirs, [])):
        add_scene(score, Scene("row", "drums"), words)
    assert (ours.words, ours.invented_s, ours.error_rate) == (1, 1.0, None)
    verdict = list(judge({"row": {"yivideo": ours, "faster-whisper batched": theirs}}))
    assert verdict == ["row: 1 words were invented"]


def test_the_sounds_are_made_of_the_samples_and_their_words_are_where_they_are_heard():
    scenes = build_scenes(multilingual=True)
    rows = {scene.row for scene in scenes}
    assert rows >= {"silence between", "two voices, -18 dB", "cut in mid-word", "no words in it"}
    for scene in scenes:
        sound = np.abs(scene.render() / 32768)
        for spoken in scene.phrases:
            for one in spoken.words:
                inside = sound[round(one.start_s * RATE_HZ) : round(one.end_s * RATE_HZ)]
                assert inside.max() > 0.0005, (scene.row, one)
    [drums] = [scene for scene in scenes if scene.name == "drums"]
    assert drums.phrases == [] and drums.render().any()
