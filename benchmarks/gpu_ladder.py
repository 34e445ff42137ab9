"""Takes a batch that is too large for the device on purpose, and prints what became of it, as JSON.

On a GPU the card is filled but for a little room, once the model is loaded. Where there is no GPU, the model
refuses large batches in CTranslate2's words: that tests the way down, not the card.
"""

import argparse
import ctypes
import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import choose_audio_stream, probe
from yivideo_pipeline.settings.options import ComputeType, Device, SpeechOptions
from yivideo_pipeline.settings.resolve import estimate_memory_bytes
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.speech.loading import load_engine
from yivideo_pipeline.speech.whisper import Whisper

BATCH = 64
ROOM_BATCH = 4
"""The room that is left on the card is, by our own estimate, that of this batch."""
ATTEMPTS = 4
LARGEST_WITHOUT_GPU = 1
REFUSED = "CUDA failed with error out of memory"


def main() -> None:
    """Load the model, leave too little room, transcribe, print the steps."""
    given = _read_arguments()
    options = SpeechOptions(
        model_name=given.model,
        language="en",
        device=Device(given.device),
        compute_type=ComputeType(given.compute_type),
        batch_size=1,
    )
    audio = given.scratch / "sound.wav"
    sound = decode_audio(given.audio, audio, choose_audio_stream(probe(given.audio), "auto")).audio
    engine = load_engine(options, given.model_dir, offline=True)
    print(json.dumps(climb_down(engine, options.model_copy(update={"batch_size": given.batch}), sound)))


def climb_down(engine: ResidentEngine, options: SpeechOptions, audio: Audio) -> dict[str, Any]:
    """Transcribe with too large a batch; returns the steps, the time and the number of words."""
    if options.device is not Device.CUDA:
        with refuse_large_batches(engine):
            return {"room_mb": None, **_transcribe(engine, options, audio)}
    card = Card()
    room = _room_bytes(options)
    for _ in range(ATTEMPTS):
        card.fill(room)
        found = {"room_mb": round(room / 2**20), **_transcribe(engine, options, audio)}
        if found["steps"]:
            return found
        room //= 2
    return found


def _transcribe(engine: ResidentEngine, options: SpeechOptions, audio: Audio) -> dict[str, Any]:
    began = time.perf_counter()
    words = len(engine.transcribe(audio, options).words)
    wall_s = time.perf_counter() - began
    return {"wall_s": round(wall_s, 2), "words": words, "steps": list(engine.describe().steps)}


def _room_bytes(options: SpeechOptions) -> int:
    """Return what a small batch takes beside the weights."""

    def estimate(batch: int) -> int:
        model, kind = options.model_name, options.compute_type
        return estimate_memory_bytes(model, kind, batch, options.beam_size, cuda=True) or 2**30 * batch

    return (estimate(ROOM_BATCH) - estimate(1)) * ROOM_BATCH // (ROOM_BATCH - 1)


class Card:
    """The memory of the first GPU, taken by plain allocations of the driver's own interface until the end.

    Args:
        cuda: The driver's library; by default this machine's.
    """

    def __init__(self, cuda: Any = None) -> None:
        self._cuda = cuda or ctypes.CDLL("libcuda.so.1")
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)

    def fill(self, room_bytes: int) -> None:
        """Leave this much memory free, or what is left of it."""
        free, total, address = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_uint64()
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        if free.value > room_bytes:
            size = ctypes.c_size_t(free.value - room_bytes)
            self._call("cuMemAlloc_v2", ctypes.byref(address), size)

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self._cuda, function)(*arguments)
        if status:
            raise RuntimeError(f"{function} failed with CUDA's error {status}")


@contextmanager
def refuse_large_batches(engine: ResidentEngine) -> Generator[None]:
    """Let a model refuse to encode as long as its batch is large, as where a card's memory runs out."""
    encode = Whisper.encode

    def limited(self: Whisper, sounds: list, **options: Any) -> Any:
        if engine.describe().batch_size > LARGEST_WITHOUT_GPU:
            raise RuntimeError(REFUSED)
        return encode(self, sounds, **options)

    Whisper.encode = limited
    try:
        yield
    finally:
        Whisper.encode = encode


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", type=Path)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for the decoded sound")
    parser.add_argument("--model", required=True)
    parser.add_argument("--model-dir", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--compute-type", required=True)
    parser.add_argument("--batch", type=int, default=BATCH)
    return parser.parse_args()


if __name__ == "__main__":
    main()
