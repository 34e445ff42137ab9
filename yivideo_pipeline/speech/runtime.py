"""A loaded model that gives way step by step when memory runs out."""

import ctypes
import gc
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import MemoryExhausted

log = logging.getLogger(__name__)


class Place(Protocol):
    """Where and how large a model runs; its text is for people."""

    @property
    def loaded_as(self) -> Hashable:
        """What a loaded model is bound to: a place that differs in this needs another load."""
        ...


PlaceT = TypeVar("PlaceT", bound=Place)
Model = TypeVar("Model")
Result = TypeVar("Result")


class HeldModel(Generic[PlaceT, Model]):
    """A model that is loaded on first use; safe to be used by several threads at once.

    Args:
        place: Where to run at first.
        load: Makes the model for a place.
        smaller: The next smaller place, None where there is none.
    """

    def __init__(
        self, place: PlaceT, load: Callable[[PlaceT], Model], smaller: Callable[[PlaceT], PlaceT | None]
    ) -> None:
        self._place = place
        self._load = load
        self._smaller = smaller
        self._lock = threading.RLock()
        self._model: Model | None = None
        self._steps: tuple[str, ...] = ()

    @property
    def place(self) -> PlaceT:
        """Where it runs now."""
        return self._place

    @property
    def steps(self) -> tuple[str, ...]:
        """Lines that say how it was made smaller, in order."""
        return self._steps

    def run(self, work: Callable[[Model, PlaceT], Result]) -> Result:
        """Return what `work` makes with the model, called again in a smaller place when memory runs out.

        Raises:
            YivideoError: what `work` or loading raised, classified; `MemoryExhausted` only once
                nothing smaller is left.
        """
        while True:
            model, place = self.current()
            try:
                return work(model, place)
            except Exception as error:  # noqa: BLE001 - raised again unless memory ran out
                del model
                self._give_way(place, error)

    def current(self) -> tuple[Model, PlaceT]:
        """The model and its place, loaded now if need be, in a smaller place where memory is short."""
        with self._lock:
            while self._model is None:
                if self._steps:
                    _free_memory()
                try:
                    self._model = self._load(self._place)
                except Exception as error:  # noqa: BLE001 - raised again unless memory ran out
                    self._give_way(self._place, error, stage="load")
            return self._model, self._place

    def _give_way(self, used: PlaceT, error: Exception, stage: str | None = None) -> None:
        """Choose a smaller place, unless another thread did so already; raise any other error."""
        known = classify(error, stage=stage)
        if not isinstance(known, MemoryExhausted):
            raise known
        with self._lock:
            if used != self._place:
                return
            smaller = self._smaller(used)
            if smaller is None:
                raise known
            line = f"memory ran out with {used}; going on with {smaller}"
            log.warning(line)
            self._steps += (line,)
            if smaller.loaded_as != used.loaded_as:
                self._model = None
            self._place = smaller


def _free_memory() -> None:
    """Let go of the model before: tracebacks and torch modules hold it in cycles, torch its GPU memory."""
    gc.collect()
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()


# PART speech/placement.py: Where and how large a model runs, and the next smaller way when memory runs out.


@dataclass(frozen=True)
class Placement:
    """Device, precision, chunks at once and CPU threads a model runs with."""

    device: str
    compute_type: str
    batch_size: int
    threads: int

    @property
    def loaded_as(self) -> tuple[str, str]:
        """What a loaded model is bound to; batch and threads are chosen at each call."""
        return self.device, self.compute_type

    def with_batch(self, wanted: int, given_way: bool) -> "Placement":
        """The same place with a call's own batch; no larger than now where memory has run out before."""
        return replace(self, batch_size=min(wanted, self.batch_size) if given_way else wanted)

    @property
    def workers(self) -> int:
        """Batches computed side by side.

        On a CPU two workers of one thread each do a decoder's small matrices about 1.4 times as
        fast as one worker of two threads.
        """
        return 1 if self.device == "cuda" else min(self.threads, self.batch_size, 4)

    @property
    def threads_per_worker(self) -> int:
        """OpenMP threads of each worker."""
        return max(1, self.threads // self.workers)

    @property
    def group_size(self) -> int:
        """Chunks that one worker takes at once, so that all together take the batch size."""
        return max(1, self.batch_size // self.workers)

    def __str__(self) -> str:
        return f"{self.device}, {self.compute_type}, batch {self.batch_size}"


# What takes less memory than a compute type, by device; quality options stay as they were asked.
_SMALLER = {
    "cuda": {
        "float32": "float16",
        "bfloat16": "int8_float16",
        "float16": "int8_float16",
        "int16": "int8",
    },
    "cpu": {"float32": "int8", "int16": "int8"},
}
CPU_BATCH = 4


def next_smaller(placement: Placement) -> Placement | None:
    """Half the batch, then a smaller compute type, then the CPU; None where nothing smaller is left."""
    if placement.batch_size > 1:
        return replace(placement, batch_size=placement.batch_size // 2)
    smaller = _SMALLER[placement.device].get(placement.compute_type)
    if smaller:
        return replace(placement, compute_type=smaller)
    if placement.device == "cuda":
        return Placement("cpu", "int8", CPU_BATCH, placement.threads)
    return None


# PART speech/memory.py: Giving memory back to the machine when a model has been let go.

_M_ARENA_MAX = -8  # malloc.h


def free_memory() -> None:
    """Give back what nobody refers to any more, in the process and on the GPU; imports no library for it."""
    gc.collect()
    # What torch keeps for itself no other library could use.
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()
    # glibc keeps freed memory in the arenas of the threads that took it: after base, a third of the process.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def limit_arenas() -> None:
    """Let all threads of this process take their memory from two arenas; call it before they start.

    By default glibc gives each thread one of its own, up to eight a core, and a freed block stays in its
    arena: in a service whose requests each have a thread, memory wandered up by half from load to load.
    """
    if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
        set_option(_M_ARENA_MAX, 2)


# PART speech/quiet.py: Keeping what torch's libraries say to nobody in particular off the console.

_TALKERS = ("whisperx", "lightning.pytorch.utilities.migration.utils", "transformers")


@contextmanager
def quiet_libraries() -> Generator[None]:
    """Hold back warnings and notes of whisperx, torchaudio, pyannote and lightning; errors pass."""
    # Finding a handler there, WhisperX does not set up one of its own that writes to stdout.
    whisperx = logging.getLogger("whisperx")
    if not whisperx.handlers:
        whisperx.addHandler(logging.NullHandler())
    for name in _TALKERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
