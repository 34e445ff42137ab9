"""Foreign subtitles get the times of the words: shifted, stretched and cut, with words misheard."""

import random
from statistics import median

import pytest

from tests.subtitles.transcripts import make_transcript, make_word
from yivideo_pipeline.speech.types import Word
from yivideo_pipeline.storage.edits import EditedCue
from yivideo_pipeline.subtitles.retiming import Retiming, retime

SYLLABLES = ("ka", "lo", "mi", "ren", "sto", "ba", "ti", "gul", "ne", "for")
COMMON = ("the", "of", "and", "to", "a", "in", "it", "was", "that", "he")


def speak_film(minutes: float, seed: int = 3) -> list[Word]:
    """Words at a speaking pace: half of them among ten, the others from thousands; pauses in between."""
    chance, words, at = random.Random(seed), [], 5.0
    while at < minutes * 60:
        for _ in range(chance.randint(3, 14)):
            text = (
                chance.choice(COMMON)
                if chance.random() < 0.5
                else "".join(chance.choices(SYLLABLES, k=chance.choice((2, 3, 3))))
            )
            length = chance.uniform(0.12, 0.5)
            words.append(make_word(f" {text}", at, at + length))
            at += length
        at += chance.choice((0.3, 0.8, 2.5))
    return words


def cues_of(words: list[Word]) -> list[EditedCue]:
    """Well-timed cues of four to nine words each."""
    chance, cues, at = random.Random(5), [], 0
    while at < len(words):
        part = words[at : at + chance.randint(4, 9)]
        at += len(part)
        end_s = min(part[-1].end_s + 0.4, words[at].start_s - 0.08 if at < len(words) else 10**6)
        text = "".join(word.text for word in part).strip().capitalize()
        cues.append(EditedCue(round(part[0].start_s * 1000), round(end_s * 1000), f"{text}."))
    return cues


def mishear(words: list[Word], share: float = 0.15) -> list[Word]:
    """Some words are lost or wrong, all times are a little off."""
    chance, heard = random.Random(9), []
    for word in words:
        if chance.random() < share / 2:
            continue
        text = " wrong" if chance.random() < share / 2 else word.text
        off_s = chance.gauss(0, 0.03)
        heard.append(make_word(text, word.start_s + off_s, word.end_s + off_s))
    return heard


def distort(cues: list[EditedCue], rate: float = 1.0, shift_ms: int = 0) -> list[EditedCue]:
    return [
        EditedCue(round(cue.start_ms * rate) + shift_ms, round(cue.end_ms * rate) + shift_ms, cue.text)
        for cue in cues
    ]


def errors(result: Retiming, truth: dict[int, EditedCue]) -> list[int]:
    return [
        max(abs(result.cues[at].start_ms - cue.start_ms), abs(result.cues[at].end_ms - cue.end_ms))
        for at, cue in truth.items()
    ]


@pytest.mark.parametrize(
    ("rate", "shift_ms"), [(1, 0), (1, -3700), (25 / 23.976, 0), (24 / 25, 61_000)], ids=str
)
def test_a_shifted_or_stretched_file_is_back_in_time(rate, shift_ms):
    words = speak_film(25)
    cues = cues_of(words)
    result = retime(distort(cues, rate, shift_ms), make_transcript(mishear(words)))
    found = errors(result, dict(enumerate(cues)))
    assert [cue.text for cue in result.cues] == [cue.text for cue in cues]
    assert median(found) <= 50
    assert sum(error <= 300 for error in found) >= 0.97 * len(found)
    assert (result.unplaced, result.cuts) == ((), 0)
    assert result.rate == pytest.approx(1 / rate, abs=0.001)
    assert all(cue.start_ms < cue.end_ms for cue in result.cues)


def test_another_cut_of_the_film_gets_its_cues_right_and_lists_those_of_missing_scenes():
    words = speak_film(30)
    cues = cues_of(words)
    scenes = [
        (0, 400),
        (520, 800),
        (830, 10_000),
    ]  # in seconds: what is left of the film, after 90 s of titles
    video, truth, at_s = [], {}, 90.0
    for start_s, end_s in scenes:
        move_s = at_s - start_s
        kept = [word for word in words if start_s <= word.start_s and word.end_s <= end_s]
        video += [make_word(w.text, w.start_s + move_s, w.end_s + move_s) for w in kept]
        for number, cue in enumerate(cues):
            if start_s * 1000 <= cue.start_ms and cue.end_ms <= end_s * 1000:
                truth[number] = EditedCue(
                    cue.start_ms + round(move_s * 1000), cue.end_ms + round(move_s * 1000), cue.text
                )
        at_s += end_s - start_s
    result = retime(cues, make_transcript(mishear(video)))
    found = errors(result, truth)
    assert median(found) <= 50
    assert sum(error <= 300 for error in found) >= 0.95 * len(found)
    assert result.cuts == 2
    missing = set(range(len(cues))) - set(truth)
    assert len(missing & set(result.unplaced)) >= 0.9 * len(missing)  # some lie across a cut
    assert len(set(result.unplaced) - missing) <= 0.02 * len(truth)
    assert all(result.cues[number] == cues[number] for number in result.unplaced)


def test_the_same_few_sentences_said_again_and_again_are_told_apart_by_their_places():
    chance = random.Random(8)
    sentences = [speak_film(0.12, seed) for seed in range(6)]
    words, at_s = [], 0.0
    while at_s < 24 * 60:
        for sentence in chance.sample(sentences, len(sentences)):
            words += [make_word(w.text, w.start_s + at_s, w.end_s + at_s) for w in sentence]
            at_s = words[-1].end_s - 4.5
    cues = cues_of(words)
    late = [cue for cue in cues if cue.start_ms > 12 * 60_000]
    given = [*distort(cues[: -len(late)], 1.001, 2000), *distort(late, 1.001, 92_000)]
    result = retime(given, make_transcript(mishear(words)))
    found = errors(result, dict(enumerate(cues)))
    assert median(found) <= 50
    assert sum(error <= 300 for error in found) >= 0.95 * len(found)


def test_the_subtitles_of_another_film_stay_as_they_are():
    cues = cues_of(speak_film(5, seed=1))
    result = retime(cues, make_transcript(speak_film(5, seed=2)))
    assert len(result.unplaced) >= 0.9 * len(cues)
    assert retime(cues, make_transcript([])).cues == tuple(cues)
