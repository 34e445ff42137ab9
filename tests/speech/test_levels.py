"""The voices of a window are made about equally loud, and nothing else is touched."""

import numpy as np

from tests.speech.make_sound import noise
from yivideo_pipeline.speech.levels import MOST_GAIN, level_voices

STEP_S = 0.01


def make_voices(*levels: float) -> tuple[np.ndarray, np.ndarray]:
    """A second of noise at each level, half a second of silence behind each, and where the noise is."""
    second = noise(1).astype(np.float32) / 32768
    second /= np.sqrt(np.mean(second**2))
    pause = np.zeros(8_000, np.float32)
    sound = np.concatenate([part for level in levels for part in (level * second, pause)])
    return sound, np.tile(np.repeat([1.0, 0.0], [100, 50]), len(levels))


def loudness(sound: np.ndarray) -> list[float]:
    return [float(np.sqrt(np.mean(sound[at : at + 16_000] ** 2))) for at in range(0, len(sound), 24_000)]


def test_a_softer_voice_becomes_as_loud_as_the_loudest():
    levelled = level_voices(*make_voices(0.08, 0.01, 0.08), STEP_S)
    assert np.allclose(loudness(levelled), 0.08, rtol=0.05)


def test_voices_that_are_about_equally_loud_are_left_as_they_are():
    sound, activity = make_voices(0.08, 0.05)
    assert level_voices(sound, activity, STEP_S) is sound


def test_a_single_voice_and_silence_are_left_as_they_are():
    for sound, activity in (make_voices(0.01), (np.zeros(16_000, np.float32), np.zeros(100))):
        assert level_voices(sound, activity, STEP_S) is sound


def test_what_is_hardly_there_is_raised_within_bounds():
    levelled = level_voices(*make_voices(0.1, 0.0001), STEP_S)
    assert loudness(levelled)[1] <= 0.0001 * MOST_GAIN * 1.05
    assert np.abs(levelled).max() <= 1


def test_a_click_does_not_count_as_a_voice():
    sound, activity = make_voices(0.08, 0.08)
    activity[130:135] = 1.0
    assert level_voices(sound, activity, STEP_S) is sound
