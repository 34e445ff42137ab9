"""The limit of what CTranslate2 does with a model: encoder, beam search and word times, on ready features.

Nothing else is in its time: no start, no decoding of sound, no search for speech, no features. The windows
are the ones that yivideo reads. It is a program of its own, for `make bench`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clips import RATE_HZ, read_sound
from yivideo_pipeline.media.audio import write_wav
from yivideo_pipeline.speech.chunks import WINDOW_S
from yivideo_pipeline.speech.local_engine import find_speech

TRIAL = 8  # windows that each layout is tried with
GPU_BATCHES = (4, 8, 16, 24)
FRAMES_PER_S = 100


@dataclass(frozen=True)
class Layout:
    """Batches side by side, the threads of each, and the windows of a batch."""

    workers: int
    threads: int
    batch: int


@dataclass(frozen=True)
class Window:
    """A window's features, shape (mels, 3000), and how many of the frames are sound."""

    features: np.ndarray
    frames: int


class Limit:
    """A model on a device with a tokenizer for English, in one layout."""

    def __init__(self, weights: Path, device: str, compute_type: str, beam: int, layout: Layout) -> None:
        import ctranslate2
        from faster_whisper.tokenizer import Tokenizer
        from tokenizers import Tokenizer as Pieces

        self._view = ctranslate2.StorageView
        self._beam = beam
        self._layout = layout
        self.model = ctranslate2.models.Whisper(
            str(weights),
            device=device,
            compute_type=compute_type,
            inter_threads=layout.workers,
            intra_threads=layout.threads,
        )
        pieces = Pieces.from_file(str(weights / "tokenizer.json"))
        self._tokenizer = Tokenizer(pieces, self.model.is_multilingual, task="transcribe", language="en")

    def run(self, windows: Sequence[Window]) -> tuple[float, float, list[str]]:
        """Recognize windows and time their words; returns wall and CPU seconds, and the texts."""
        size = self._layout.batch
        groups = [windows[at : at + size] for at in range(0, len(windows), size)]
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(self._layout.workers) as pool:
            texts = [text for group in pool.map(self._recognize, groups) for text in group]
        return time.perf_counter() - wall_s, time.process_time() - cpu_s, texts

    def _recognize(self, group: Sequence[Window]) -> list[str]:
        encoded = self.model.encode(self._view.from_array(np.stack([one.features for one in group])))
        start = self._tokenizer.sot_sequence
        prompt = [*start, self._tokenizer.no_timestamps]
        results = self.model.generate(encoded, [prompt] * len(group), beam_size=self._beam)
        tokens = [
            [token for token in result.sequences_ids[0] if token < self._tokenizer.eot] for result in results
        ]
        self.model.align(encoded, start, tokens, [one.frames for one in group])
        return [self._tokenizer.decode(one) for one in tokens]


def read_windows(audio: Path, mels: int) -> list[Window]:
    """Return the windows of a recording's speech."""
    from faster_whisper.feature_extractor import FeatureExtractor

    extract = FeatureExtractor(feature_size=mels)
    samples = round(WINDOW_S * RATE_HZ)
    windows = []
    with tempfile.TemporaryDirectory(prefix="yivideo-limit-") as folder:
        speech = find_speech(write_wav(Path(folder) / "sound.wav", read_sound(audio)))
        for piece in speech.pieces:
            sound = piece.chunk.read(speech.audio)[:samples]
            features = extract(np.pad(sound, (0, samples - len(sound))), padding=0)
            frames = min(len(sound) * FRAMES_PER_S // RATE_HZ, features.shape[-1])
            windows.append(Window(features[:, : round(WINDOW_S * FRAMES_PER_S)].astype(np.float32), frames))
    return windows


def choose_layout(load: Any, windows: Sequence[Window], threads: int, device: str) -> Layout:
    """Return the fastest layout for the first windows, on a GPU for all of them."""
    if device == "cuda":
        load(Layout(1, threads, 1)).run(windows[:1])  # the first time loads libraries and kernels
        return min(
            [Layout(1, threads, batch) for batch in GPU_BATCHES],
            key=lambda layout: load(layout).run(windows)[0],
        )
    layouts = [Layout(threads, 1, 1), Layout(threads, 1, 4), Layout(1, threads, TRIAL)]
    return min(layouts, key=lambda layout: load(layout).run(windows[:TRIAL])[0])


def main() -> None:
    """Try the layouts, recognize the recordings in the best one, write figures and texts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", type=Path, nargs="+", help="recordings, whose windows are one batch of work")
    parser.add_argument("--output", type=Path, required=True, help="folder for the JSON file")
    parser.add_argument("--model", type=Path, required=True, help="folder of the weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compute-type", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--beam", type=int, required=True)
    given = parser.parse_args()

    def load(layout: Layout) -> Limit:
        return Limit(given.model, given.device, given.compute_type, given.beam, layout)

    mels = load(Layout(1, 1, 1)).model.n_mels
    windows = [window for audio in given.audio for window in read_windows(audio, mels)]
    layout = choose_layout(load, windows, given.threads, given.device)
    wall_s, cpu_s, texts = load(layout).run(windows)
    given.output.mkdir(parents=True)
    figures = {"wall_s": wall_s, "cpu_s": cpu_s, "segments": [{"text": text} for text in texts]}
    (given.output / f"{given.audio[0].stem}.json").write_text(json.dumps(figures))
    print(layout)


if __name__ == "__main__":
    main()
