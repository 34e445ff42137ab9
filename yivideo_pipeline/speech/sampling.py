"""Sampling that can be repeated: the same sound gives the same words in every process.

Apart from the model since it is about CTranslate2's generators alone. That library has no seed for a call:
each thread of a model makes its generator when it samples first, from the seed that the process has set by
then, and goes on with it (its `src/random.cc`). So each sampled window gets a model of its own, read from the
same file, whose one thread begins with the wanted seed. Reading base takes 0.35 s, sampling a doubtful window
2 to 4 s.
"""

import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_seeding = threading.Lock()  # the seed is the process's


def seed_of(encoded: np.ndarray, temperature: float) -> int:
    """Return the seed of an encoded window, by its content; float32, any shape."""
    return zlib.crc32(encoded.tobytes(), round(1000 * temperature)) >> 1  # all ones: the library's "unset"


def open_seeded(
    folder: Path, compute_type: str, threads: int, seed: int, silence: Any, prompt: list[int]
) -> Any:
    """Return a model on the CPU that samples from a seed on; free it after one window.

    Args:
        folder: The model's folder.
        compute_type: As the model beside it has it.
        threads: OpenMP threads.
        seed: Of the generator.
        silence: An encoded window without sound: one token of it is sampled, which makes the generator.
        prompt: The decoder's start.
    """
    import ctranslate2

    with _seeding:
        ctranslate2.set_random_seed(seed)
        model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type=compute_type, intra_threads=threads
        )
        model.generate(silence, [prompt], beam_size=1, sampling_topk=0, max_length=len(prompt) + 1)
    return model
