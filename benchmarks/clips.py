"""Recorded speech with its texts, and one long recording made of it."""

import os
from collections.abc import Iterable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import av
import numpy as np

from yivideo_pipeline.comparison.corpus import Clip, find_clips, load_corpus

RATE_HZ = 16_000
PAUSE_S = 0.5
SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"


def load_samples() -> list[Clip]:
    """Read the project's own sample videos, with their texts and the times of their words."""
    return [replace(clip, language="en") for clip in find_clips(SAMPLES, [])]


def load_english() -> tuple[str, list[Clip]]:
    """Return English clips and their source: the corpus if one is named, else the samples."""
    corpus = os.environ.get("YIVIDEO_SPEECH_CORPUS")
    if not corpus:
        return "data/samples (YIVIDEO_SPEECH_CORPUS is not set)", load_samples()
    return "the speech corpus", [clip for clip in load_corpus(Path(corpus)) if clip.language == "en"]


def read_sound(path: Path) -> np.ndarray:
    """Decode a recording to 16 kHz mono, int16, shape (n,)."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames.extend(resampler.resample(None))
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def join_clips(clips: list[Clip], target_s: float) -> tuple[np.ndarray, list[str]]:
    """Repeat whole clips, a pause after each, until the target length is reached.

    Returns:
        The sound (int16, 16 kHz mono) and the texts of all clips in it, in order.
    """
    sounds = {clip.path: read_sound(clip.path) for clip in clips}
    pause = np.zeros(round(PAUSE_S * RATE_HZ), np.int16)
    parts: list[np.ndarray] = []
    texts: list[str] = []
    length = 0
    for clip in cycle(clips):
        if length >= target_s * RATE_HZ:
            break
        parts += [sounds[clip.path], pause]
        texts.append(clip.text)
        length += len(sounds[clip.path]) + len(pause)
    return np.concatenate(parts), texts


def cut_clips(clips: list[Clip], lengths_s: Iterable[float]) -> list[np.ndarray]:
    """Join clips and cut the sound into pieces of these lengths, regardless of words (int16, 16 kHz mono)."""
    sizes = [round(length_s * RATE_HZ) for length_s in lengths_s]
    sound, _ = join_clips(clips, sum(sizes) / RATE_HZ)
    return np.split(sound[: sum(sizes)], np.cumsum(sizes)[:-1])


def write_flac(sound: np.ndarray, path: Path) -> None:
    """Write 16 kHz mono int16 sound as FLAC, into the container of the suffix."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=RATE_HZ, layout="mono")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ, frame_size=4096)
        frame = av.AudioFrame.from_ndarray(sound[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, 0
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(part))
