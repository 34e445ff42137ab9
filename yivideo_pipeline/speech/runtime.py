"""Running a model within the memory of its device: configuration, fallback, giving memory back.

When memory runs out the model goes on with a smaller configuration, step by step: half the batch,
then a smaller compute type, then the CPU.
"""

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

CPU_BATCH = 4


@dataclass(frozen=True)
class DeviceConfig:
    """Device, precision, chunks at once and CPU threads that a Whisper model runs with."""

    device: str
    compute_type: str
    batch_size: int
    threads: int

    @property
    def loaded_as(self) -> tuple[str, str]:
        """What a loaded model is bound to; batch size and threads are chosen at each call."""
        return self.device, self.compute_type

    def with_batch(self, requested: int, has_fallen_back: bool) -> "DeviceConfig":
        """Return this configuration with a call's own batch size.

        Once memory has run out, the batch size never exceeds the present one.
        """
        return replace(self, batch_size=min(requested, self.batch_size) if has_fallen_back else requested)

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
        """Chunks that one worker takes at once, so that all workers together take the batch size."""
        return max(1, self.batch_size // self.workers)

    def __str__(self) -> str:
        return f"{self.device}, {self.compute_type}, batch {self.batch_size}"


# The compute type with less memory, by device; the options for quality stay as requested.
_SMALLER_TYPES = {
    "cuda": {
        "float32": "float16",
        "bfloat16": "int8_float16",
        "float16": "int8_float16",
        "int16": "int8",
    },
    "cpu": {"float32": "int8", "int16": "int8"},
}


def smaller_config(config: DeviceConfig) -> DeviceConfig | None:
    """Return half the batch, then a smaller compute type, then the CPU; None when nothing smaller is left."""
    if config.batch_size > 1:
        return replace(config, batch_size=config.batch_size // 2)
    smaller = _SMALLER_TYPES[config.device].get(config.compute_type)
    if smaller:
        return replace(config, compute_type=smaller)
    if config.device == "cuda":
        return DeviceConfig("cpu", "int8", CPU_BATCH, config.threads)
    return None


class RuntimeConfig(Protocol):
    """How a model runs; its text is written to logs."""

    @property
    def loaded_as(self) -> Hashable:
        """What a loaded model is bound to: a configuration that differs in this needs another load."""
        ...


ConfigT = TypeVar("ConfigT", bound=RuntimeConfig)
Model = TypeVar("Model")
Output = TypeVar("Output")


class ModelRuntime(Generic[ConfigT, Model]):
    """A model that is loaded on first use and falls back when memory runs out; safe for several threads.

    Args:
        config: The configuration to begin with.
        load: Loads the model for a configuration.
        smaller: Returns the next smaller configuration, None when there is none.
        adapt: Returns the configuration that a call really runs with, such as another batch size.
    """

    def __init__(
        self,
        config: ConfigT,
        load: Callable[[ConfigT], Model],
        smaller: Callable[[ConfigT], ConfigT | None],
        adapt: Callable[[ConfigT], ConfigT] = lambda config: config,
    ) -> None:
        self._config = config
        self._load = load
        self._smaller = smaller
        self._adapt = adapt
        self._lock = threading.RLock()
        self._model: Model | None = None
        self._steps: tuple[str, ...] = ()

    @property
    def config(self) -> ConfigT:
        """The present configuration."""
        return self._config

    @property
    def steps(self) -> tuple[str, ...]:
        """One line for each fallback, in order."""
        return self._steps

    def run(self, work: Callable[[Model, ConfigT], Output]) -> Output:
        """Return the result of `work`, which is called again after each fallback.

        Raises:
            YivideoError: what `work` or loading raised, classified; `MemoryExhausted` only once
                nothing smaller is left.
        """
        while True:
            model, config = self.current()
            try:
                return work(model, config)
            except Exception as error:  # noqa: BLE001 - raised again unless memory ran out
                del model
                self.fall_back(config, error)

    def current(self) -> tuple[Model, ConfigT]:
        """Return the model and its configuration; loads it if needed, smaller where memory is short.

        Raises:
            YivideoError: what loading raised, classified.
        """
        with self._lock:
            while self._model is None:
                if self._steps:
                    _free_previous_model()
                try:
                    self._model = self._load(self._config)
                except Exception as error:  # noqa: BLE001 - raised again unless memory ran out
                    self.fall_back(self._config, error, stage="load")
            return self._model, self._config

    def fall_back(self, used: ConfigT, error: Exception, stage: str | None = None) -> None:
        """Choose a smaller configuration after memory ran out, unless another thread did so already.

        The caller must hold no reference to the model any more: the next call of `current` may load
        another one.

        Args:
            used: The configuration that failed.
            error: What was raised with it.
            stage: The stage for the error's context.

        Raises:
            YivideoError: the error, classified, where it is another one or nothing smaller is left.
        """
        known = classify(error, stage=stage)
        if not isinstance(known, MemoryExhausted):
            raise known
        with self._lock:
            if used != self._config:
                return
            failed = self._adapt(used)
            smaller = self._smaller(failed)
            if smaller is None:
                raise known
            line = f"memory ran out with {failed}; going on with {smaller}"
            log.warning(line)
            self._steps += (line,)
            if smaller.loaded_as != used.loaded_as:
                self._model = None
            self._config = smaller


def _free_previous_model() -> None:
    """Free the previous model: tracebacks and torch modules keep it in cycles, torch keeps its GPU memory."""
    gc.collect()
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()


def free_memory() -> None:
    """Return unreferenced memory of the process and the GPU to the system; imports no library for it."""
    gc.collect()
    # No other library could use what torch keeps in its cache.
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()
    # glibc keeps freed memory in the arenas of the threads that took it: after base, a third of the process.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


_NOISY_LOGGERS = ("whisperx", "lightning.pytorch.utilities.migration.utils", "transformers")


@contextmanager
def quiet_libraries() -> Generator[None]:
    """Suppress warnings and notes of whisperx, torchaudio, pyannote and lightning, but not errors."""
    # WhisperX sets up its own handler, which writes to stdout, unless it finds one.
    whisperx = logging.getLogger("whisperx")
    if not whisperx.handlers:
        whisperx.addHandler(logging.NullHandler())
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
