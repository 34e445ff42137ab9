"""Voice activity detection: Silero VAD (the ONNX model in faster-whisper's wheel), run in blocks.

Silero misses voices far below full scale (half of a phrase at -58 dB), so quiet stretches in which it found
nothing are amplified and listened to once more.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import numpy as np

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ, Audio
from yivideo_pipeline.speech.types import Span

HOP = 512  # samples of one probability; the model's fixed frame at 16 kHz
CONTEXT = 64  # samples of the previous frame that the model also reads
HOP_S = HOP / SAMPLE_RATE_HZ
BLOCK = 1024 * HOP  # samples a call, about 33 s: bounded memory, little call overhead

# Hysteresis: a span begins above ONSET and ends once it has been below OFFSET for MIN_SILENCE_S.
# Onset is lower than Silero's usual 0.5, since a lost word is worse than a chunk decoded in vain: the
# recognizer rejects what is not speech by its own certainty (the fallback criteria in `recognizer`).
ONSET = 0.4
OFFSET = 0.25
MIN_SILENCE_S = 0.16
MIN_SPEECH_S = 0.1
# The second look at stretches without speech; one below SOFTEST_LEVEL is silence and its rounding errors.
MIN_STILL_FRAMES = 31  # 1 s
MAX_STILL_FRAMES = 1024  # of a longer one each part is amplified by its own gain
WANTED_LEVEL = 0.05  # root mean square of the loud frames, full scale 1
LEAST_GAIN, MOST_GAIN = 2.0, 30.0
SOFTEST_LEVEL = 3e-5

CACHED_FRAMES = 2**20
"""Nine hours of sound, in 4 MB: of many videos that share a run, each is still there at its next stage."""
_AHEAD = 4
"""Blocks that decoding may be ahead of a listener."""
_cache: dict[tuple[int, ...], np.ndarray] = {}
_cache_lock = threading.Lock()


@lru_cache(maxsize=1)
def _session() -> Any:
    from faster_whisper.vad import get_vad_model

    return get_vad_model().session


def speech_probabilities(audio: Audio) -> np.ndarray:
    """Return the probability of speech in each 32 ms frame: float32, shape (ceil(n / 512),), read-only.

    The last sounds are cached by the identity of the file, not by its name: one stage draws the
    probabilities, the next one uses them for recognition, and the file may be moved in between.
    """
    with _cache_lock:
        known = _cache.get(_identity(audio))
    if known is None:
        known = _look_again(audio, _probabilities(audio, 0, len(audio.samples)))
        remember_probabilities(audio, known)
    return known


def remember_probabilities(audio: Audio, probabilities: np.ndarray) -> None:
    """Have `speech_probabilities` return what it returned for this sound in another process."""
    with _cache_lock:
        _put(_identity(audio), probabilities)


def _identity(audio: Audio) -> tuple[int, ...]:
    status = audio.path.stat()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _put(identity: tuple[int, ...], probabilities: np.ndarray) -> None:
    """Cache the probabilities of a sound; the caller holds the lock."""
    while _cache and sum(map(len, _cache.values())) + len(probabilities) > CACHED_FRAMES:
        _cache.pop(next(iter(_cache)))
    _cache[identity] = probabilities


class _Detector:
    """Silero and its memory of one sound, whose parts it is given in order, amplified by a gain."""

    def __init__(self, gain: float = 1.0) -> None:
        self._scale = gain / 32768
        self._state = {name: np.zeros((1, 1, 128), np.float32) for name in ("h", "c")}
        self._context = np.zeros((1, CONTEXT), np.float32)

    def probabilities(self, samples: np.ndarray) -> np.ndarray:
        """Return the probability of speech in each frame of the next samples, int16.

        Only the last part may end within a frame.
        """
        if not len(samples):
            return np.zeros(0, np.float32)
        block = np.clip(samples.astype(np.float32) * self._scale, -1, 1)
        frames = np.pad(block, (0, -len(block) % HOP)).reshape(-1, HOP)
        contexts = np.concatenate([self._context, frames[:-1, -CONTEXT:]])
        self._context = frames[-1:, -CONTEXT:]
        probabilities, self._state["h"], self._state["c"] = _session().run(
            None, {"input": np.concatenate([contexts, frames], axis=1), **self._state}
        )
        return probabilities.reshape(-1)


class SpeechListener:
    """Finds speech in a sound that is still being decoded, on a core that has nothing else to do.

    Used as a context, at whose end it listens no more.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="listener")
        self._detector = _Detector()
        self._found: list[Future[np.ndarray]] = []
        self._rest = np.zeros(0, np.int16)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread."""
        self._pool.shutdown(cancel_futures=True)

    def hear(self, samples: np.ndarray) -> None:
        """Take the next samples, int16, shape (n,); wait where decoding is far ahead."""
        self._rest = np.concatenate([self._rest, samples])
        while len(self._rest) >= BLOCK:
            self._listen_to(self._rest[:BLOCK])
            self._rest = self._rest[BLOCK:]

    def remember(self, audio: Audio) -> None:
        """Have `speech_probabilities` know this sound, all of which was heard, without listening again."""
        self._listen_to(self._rest)
        found = np.concatenate([one.result() for one in self._found])
        remember_probabilities(audio, _look_again(audio, found))

    def _listen_to(self, block: np.ndarray) -> None:
        self._found.append(self._pool.submit(self._detector.probabilities, block))
        if len(self._found) > _AHEAD:
            self._found[-_AHEAD - 1].result()


def _probabilities(audio: Audio, first: int, last: int, gain: float = 1.0) -> np.ndarray:
    """Return the probability of speech in each frame between two samples, amplified by a gain."""
    detector = _Detector(gain)
    starts = range(first, last, BLOCK)
    found = [detector.probabilities(audio.read(start, min(last, start + BLOCK))) for start in starts]
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def _look_again(audio: Audio, probabilities: np.ndarray) -> np.ndarray:
    """Return the probabilities with those of amplified quiet stretches where they are higher."""
    found = probabilities.copy()
    for first, last in _still_stretches(probabilities):
        start, end = first * HOP, min(last * HOP, len(audio.samples))
        gain = _gain(audio.read(start, end))
        if gain >= LEAST_GAIN:
            amplified = _probabilities(audio, start, end, gain)
            found[first:last] = np.maximum(found[first:last], amplified)
    return found


def _still_stretches(probabilities: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield first and last frame of stretches without speech."""
    is_still = np.concatenate([[False], probabilities < OFFSET, [False]])
    edges = np.flatnonzero(is_still[1:] != is_still[:-1])
    for first, last in edges.reshape(-1, 2).tolist():
        for start in range(first, last, MAX_STILL_FRAMES):
            end = min(last, start + MAX_STILL_FRAMES)
            if end - start >= MIN_STILL_FRAMES:
                yield start, end


def _gain(samples: np.ndarray) -> float:
    """Return what brings the loud frames of a stretch to the wanted level; 1 where nothing is to be heard."""
    frames = samples[: len(samples) // HOP * HOP].reshape(-1, HOP).astype(np.float32) / 32768
    level = float(np.quantile(np.sqrt(np.mean(np.square(frames), axis=1)), 0.9))
    return min(MOST_GAIN, WANTED_LEVEL / level) if level >= SOFTEST_LEVEL else 1.0


def find_spans(probabilities: np.ndarray, duration_s: float) -> tuple[Span, ...]:
    """Turn frame probabilities into spans, in order, without overlap, on the sound's own clock."""
    spans: list[Span] = []
    start: int | None = None
    quiet_since: int | None = None
    for frame, probability in enumerate(probabilities):
        if start is None:
            start = frame if probability >= ONSET else None
        elif probability >= OFFSET:
            quiet_since = None
        else:
            quiet_since = frame if quiet_since is None else quiet_since
            if (frame - quiet_since) * HOP_S >= MIN_SILENCE_S:
                spans.append(_span(start, quiet_since, duration_s))
                start = quiet_since = None
    if start is not None:
        spans.append(_span(start, quiet_since or len(probabilities), duration_s))
    return tuple(span for span in spans if span.end_s - span.start_s >= MIN_SPEECH_S)


def _span(first: int, last: int, duration_s: float) -> Span:
    return Span(start_s=first * HOP_S, end_s=min(last * HOP_S, duration_s))


def speech_spans(audio: Audio) -> tuple[Span, ...]:
    """Return the intervals with speech, on the sound's own clock (without the audio's offset)."""
    return find_spans(speech_probabilities(audio), audio.duration_s)
