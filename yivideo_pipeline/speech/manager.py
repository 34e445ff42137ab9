"""The one place that holds a loaded model: lent by leases, exchanged when its options change."""

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigValidationError, ModelBusy, ModelError
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import LOAD_FIELDS, SpeechOptions
from yivideo_pipeline.settings.resolve import MAX_CPU_BATCH
from yivideo_pipeline.speech.contract import Models, make_models
from yivideo_pipeline.speech.engine import EngineInfo, Heard, Progress, ResidentEngine
from yivideo_pipeline.speech.leases import Leases
from yivideo_pipeline.speech.runtime import free_memory
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.usage import Clock, Health, Record, Usage

# PART speech/leased_engine.py: A leased engine: an engine that is only there as long as its lease.


class LeasedEngine:
    """Passes calls on to an engine until the lease ends, and records how they went.

    The variable of a `with` statement outlives its block. If it held the engine itself, the weights
    would stay in memory while the next model is loaded.
    """

    def __init__(self, engine: ResidentEngine, record: Record) -> None:
        self._engine: ResidentEngine | None = engine
        self._record = record

    def describe(self) -> EngineInfo:
        """See `SpeechEngine.describe`."""
        return self._use().describe()

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        heard: Heard | None = None,
    ) -> Transcript:
        """See `SpeechEngine.transcribe`.

        Raises:
            ConfigValidationError: a batch over what a CPU takes; no load has checked this call's options.
        """
        _check_batch(options.batch_size, self.describe())
        with self._record.attempt():
            transcript = self._use().transcribe(audio, options, progress, heard)
        self._record.add_audio(audio.duration_s)
        return transcript

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """See `SpeechEngine.align`."""
        with self._record.attempt():
            return self._use().align(audio, transcript, options, progress)

    def detect_language(self, audio: Audio, progress: Progress | None = None) -> tuple[str, float]:
        """See `ResidentEngine.detect_language`."""
        with self._record.attempt():
            return self._use().detect_language(audio, progress)

    def end(self) -> None:
        """Let go of the engine."""
        self._engine = None

    def _use(self) -> ResidentEngine:
        if self._engine is None:
            raise ModelError("The lease of the model has ended", "Use the engine inside the with block")
        return self._engine


def _check_batch(batch_size: int, info: EngineInfo) -> None:
    # An engine that had to leave the GPU runs with less than was asked, by its own choice.
    if info.device == "cpu" and not info.steps and batch_size > MAX_CPU_BATCH:
        raise ConfigValidationError(
            f"batch_size: {batch_size} is over {MAX_CPU_BATCH}, the most on a CPU: lower it"
        )


# PART speech/idle.py: A timer for the time in which nobody comes.


class IdleTimer:
    """Calls an action, in a thread of its own, once it has run so long without being stopped.

    Args:
        idle_s: How long; None never calls.
        action: What to do then.
    """

    def __init__(self, idle_s: float | None, action: Callable[[], None]) -> None:
        self._idle_s = idle_s
        self._action = action
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Begin to run, anew if it runs already."""
        with self._lock:
            self._cancel()
            if self._idle_s is not None:
                self._timer = threading.Timer(self._idle_s, self._act)
                self._timer.name, self._timer.daemon = "model-idle", True
                self._timer.start()

    def stop(self) -> None:
        """Stop running until the next start."""
        with self._lock:
            self._cancel()

    def change(self, idle_s: float | None) -> None:
        """Change how long, from the next start on."""
        with self._lock:
            self._idle_s = idle_s

    def close(self) -> None:
        """Stop running for good."""
        with self._lock:
            self._idle_s = None
            self._cancel()

    def _cancel(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _act(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():  # stopped at the last moment
                return
        self._action()


log = logging.getLogger(__name__)

LoadKey = tuple[tuple[str, Any], ...]
_Loaded = tuple[LoadKey, int]
"""What a model was loaded for, and how often somebody had asked for a new one by then."""


def load_key(options: SpeechOptions) -> LoadKey:
    """Return the options that are fixed once a model is loaded; others can change from call to call."""
    return tuple((name, getattr(options, name)) for name in sorted(LOAD_FIELDS))


class ModelManager:
    """Holds at most one model, for all threads of a process.

    It is loaded at the first lease, and again when a lease comes with options that need another one:
    then those who use the old model finish first, and it is gone before the new one is loaded, since
    a GPU seldom has room for two.

    Args:
        load: Makes an engine; only ever called by one thread at a time.
        options: Asked for the options of leases that name none.
        idle_unload_s: Unload after so long without a lease; None keeps the model.
        clock: Measures what `usage` tells.
    """

    def __init__(
        self,
        load: Callable[[SpeechOptions], ResidentEngine],
        options: Callable[[], SpeechOptions] = SpeechOptions,
        idle_unload_s: float | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._load = load
        self._options = options
        self._leases: Leases[_Loaded] = Leases()
        self._renewals = 0
        self._record = Record(clock)
        self._engine: ResidentEngine | None = None
        self._idle = IdleTimer(idle_unload_s, self._unload_idle)

    @contextmanager
    def lease(self, options: SpeechOptions | None = None) -> Generator[ResidentEngine]:
        """Lend the engine for these options, loading its model where it is not loaded.

        A thread that leases again what it has already gets it at once, whoever waits.

        Raises:
            ModelBusy: the thread has a lease of another model: it would wait for itself.
            YivideoError: the model can't be loaded; all who wait for the same load are told. The next
                lease tries again.
        """
        holder = threading.get_ident()
        leased = LeasedEngine(self._take(options or self._options(), holder), self._record)
        try:
            with self._record.leasing():
                yield leased
        finally:
            leased.end()
            if self._leases.end(holder):
                self._idle.start()

    @contextmanager
    def get_models(self, options: SpeechOptions | None = None) -> Generator[Models]:
        """Lend the models as the owner's contract names them; otherwise as `lease` does."""
        chosen = options or self._options()
        with self.lease(chosen) as engine:
            yield make_models(engine, chosen)

    def unload(self, drain: bool = False, timeout_s: float | None = None) -> None:
        """Give the model's memory back; does nothing where none is loaded.

        Args:
            drain: Wait for the leases of now to end; those that come later load again.
            timeout_s: How long to wait at most.

        Raises:
            ModelBusy: somebody uses the model, or still does after `timeout_s`.
        """
        self._refuse_own_lease()
        try:
            with self._leases.turn(None, timeout_s if drain else 0):
                if self._engine is not None:
                    self._drop()
                    self._record.add_unload()
        except TimeoutError:
            raise ModelBusy(
                f"The model is in use ({self._leases.count} leases, {self._leases.waiting} waiting)",
                "Try again when they have ended, or let the unload wait for them",
            ) from None

    def renew(self) -> None:
        """Let the next lease load anew, whatever is loaded; those of now keep what they have."""
        self._renewals += 1

    def unload_after(self, idle_s: float | None) -> None:
        """Change how long the model stays without a lease; None keeps it."""
        self._idle.change(idle_s)
        if self._engine is not None and not self._leases.count:
            self._idle.start()

    def close(self, timeout_s: float | None = None) -> None:
        """Unload once the leases of now have ended, and give no more.

        Args:
            timeout_s: How long to wait for them at most.

        Raises:
            ModelBusy: this thread has a lease itself, or some are left after `timeout_s`.
        """
        self._refuse_own_lease()
        self._idle.close()
        self._leases.close(ModelError("The model manager is closed", "Make a new one"))
        self.unload(drain=True, timeout_s=timeout_s)

    def health_check(self) -> Health:
        """How the manager is now; never waits, not even for a load."""
        info, error = self.info(), self._record.last_error
        return Health(
            healthy=error is None,
            loaded=info is not None,
            model=info.model if info else None,
            device=info.device if info else None,
            leases=self._leases.count,
            waiting=self._leases.waiting,
            last_error=error,
        )

    def info(self) -> EngineInfo | None:
        """What runs where; None while nothing is loaded."""
        engine = self._engine
        return engine.describe() if engine else None

    def usage(self) -> Usage:
        """What was done so far."""
        return self._record.usage

    def _take(self, options: SpeechOptions, holder: int) -> ResidentEngine:
        """Add a lease for a holder and return the engine that it is of."""
        key = load_key(options)
        if self._leases.is_held_by(holder):
            self._refuse_exchange(key)
            return self._grant(holder)
        wanted = (key, self._renewals)
        with self._leases.turn(wanted):
            if self._leases.current != wanted:
                self._exchange(options, wanted)
            self._idle.stop()
            return self._grant(holder)

    def _grant(self, holder: int) -> ResidentEngine:
        self._leases.add(holder)
        assert self._engine is not None  # by now it is loaded, and the lease keeps it
        return self._engine

    def _exchange(self, options: SpeechOptions, wanted: _Loaded) -> None:
        """Load a model in place of the one that is there; only in a turn, while there is no lease."""
        is_reload = self._engine is not None
        if is_reload:
            self._drop()
        try:
            with self._record.loading(is_reload):
                self._engine = self._load(options)
        except Exception as error:
            known = classify(error, stage="load")
            self._leases.turn_away(known)
            if known is error:
                raise
            raise known from error
        self._leases.current = wanted

    def _drop(self) -> None:
        """Let go of the model and give its memory back; only in a turn, while there is no lease."""
        self._engine = None
        self._leases.current = None
        free_memory()

    def _refuse_exchange(self, key: LoadKey) -> None:
        """Raise if a thread that has a lease asks for another model."""
        loaded, _ = self._leases.current or ((), 0)
        wanted = set(key) - set(loaded)
        if wanted:
            asked = ", ".join(f"{name} {value}" for name, value in sorted(wanted))
            raise ModelBusy(
                f"This thread leases a model already, and can't have one with {asked} beside it",
                "End the first lease before the second begins",
            )

    def _refuse_own_lease(self) -> None:
        if self._leases.is_held_by(threading.get_ident()):
            raise ModelBusy("This thread itself leases the model", "Unload it after the lease has ended")

    def _unload_idle(self) -> None:
        log.info("unloading the model: nobody uses it")
        with suppress(ModelBusy):  # somebody has just come
            self.unload()
