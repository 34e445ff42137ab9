"""Sounds made at run time, and words as a recognizer would have timed them."""

from pathlib import Path

import av
import numpy as np

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio, write_wav
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import choose_audio_stream, probe
from yivideo_pipeline.speech.align.text import WordTimings
from yivideo_pipeline.speech.assemble import Passage, SpokenWord
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.types import Span, Word

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.int16)


def noise(seconds: float, level: float = 0.1) -> np.ndarray:
    loud = np.random.default_rng(3).normal(0, level * 32767, round(seconds * SAMPLE_RATE_HZ))
    return np.clip(loud, -32768, 32767).astype(np.int16)


def chord(seconds: float, notes_hz: tuple[float, ...] = (220.0, 277.2, 329.6)) -> np.ndarray:
    times = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tones = [
        np.sin(2 * np.pi * hz * harmonic * times) / harmonic for hz in notes_hz for harmonic in (1, 2, 3)
    ]
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.5 * times)
    return (np.sum(tones, axis=0) / len(tones) * swell * 20_000).astype(np.int16)


def decode_speech(name: str, folder: Path) -> Audio:
    """The sound of one of the sample videos."""
    video = SAMPLES / name
    return decode_audio(video, folder / f"{name}.wav", choose_audio_stream(probe(video), "auto")).audio


def read_samples(path: Path) -> np.ndarray:
    """Any sound file as int16 at 16 kHz."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", SAMPLE_RATE_HZ)
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray()[0] for frame in [*frames, *resampler.resample(None)]])


def join_sounds(path: Path, *sounds: np.ndarray, offset_s: float = 0.0) -> Audio:
    return write_wav(path, np.concatenate(sounds), offset_s)


def make_passage(
    words: list[tuple[str, float, float]],
    pieces: tuple[Span, ...] = (Span(start_s=0, end_s=30),),
    timed: list[bool] | None = None,
    avg_logprob: float = -0.2,
    language: str = "en",
) -> Passage:
    """A recognized chunk; word times are on the chunk's clock."""
    times = np.array([[start, end] for _, start, end in words], float).reshape(-1, 2)
    has_time = np.array([True] * len(words) if timed is None else timed, bool)
    text = WordTimings(tuple(word for word, _, _ in words), times, np.full(len(words), 0.9), has_time)
    return Passage(Chunk(pieces), text, avg_logprob, 0.01, language)


def spoken_words(
    words: list[tuple[str, float, float]], avg_logprob: float = -0.2, language: str = "en"
) -> list[SpokenWord]:
    """Words on the sound's own clock, all of one passage whose chunk ends 0.2 s around them."""
    first, last = (words[0][1], words[-1][2]) if words else (0.0, 0.0)
    chunk = (Span(start_s=max(0.0, first - 0.2), end_s=last + 0.2),)
    passage = make_passage(words, chunk, avg_logprob=avg_logprob, language=language)
    return [
        SpokenWord(Word(text=text, start_s=start, end_s=end, confidence=0.9, source="attention"), passage)
        for text, start, end in words
    ]
