"""The model manager: holds the one loaded model, lends it by leases, reloads it when the options change.

The owner's contract is kept here: `get_models` and `health_check` (docs and `contract`).
"""

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigValidationError, ModelBusy, ModelError
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.options import LOAD_FIELDS, SpeechOptions
from yivideo_pipeline.settings.resolve import MAX_CPU_BATCH
from yivideo_pipeline.speech.contract import ModelBundle, bundle_models
from yivideo_pipeline.speech.engine import Checkpoint, EngineInfo, OnWords, Progress, ResidentEngine
from yivideo_pipeline.speech.leases import Leases
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.speech.runtime import free_memory
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.usage import Clock, ModelHealth, ModelUsage, UsageRecorder

log = logging.getLogger(__name__)

LoadKey = tuple[tuple[str, Any], ...]
_Loaded = tuple[LoadKey, int]
"""What a model was loaded for, and the number of renewals at that time."""


def load_key(options: SpeechOptions) -> LoadKey:
    """Return the options that are fixed once a model is loaded; the others can change from call to call."""
    return tuple((name, getattr(options, name)) for name in sorted(LOAD_FIELDS))


class ModelManager:
    """Holds at most one model, for all threads of a process.

    The model is loaded at the first lease, and again when a lease needs another one: leases of the old
    model end first, and it is unloaded before the new one is loaded, since a GPU seldom has room for two.

    Args:
        load: Loads an engine; called by one thread at a time.
        options: Returns the options of leases that name none.
        idle_unload_s: Seconds without a lease after which the model is unloaded; None keeps it.
        clock: Measures the times of `usage`.
        choose: Returns options with the model that `auto` means in them; by default they stay as they are.
    """

    def __init__(
        self,
        load: Callable[[SpeechOptions], ResidentEngine],
        options: Callable[[], SpeechOptions] = SpeechOptions,
        idle_unload_s: float | None = None,
        clock: Clock = time.monotonic,
        choose: Callable[[SpeechOptions], ModelChoice] = ModelChoice,
    ) -> None:
        self._load = load
        self._options = options
        self._choose = choose
        self._leases: Leases[_Loaded] = Leases()
        self._renewals = 0
        self._record = UsageRecorder(clock)
        self._engine: ResidentEngine | None = None
        self._idle = IdleTimer(idle_unload_s, self._unload_idle)

    @contextmanager
    def lease(
        self, options: SpeechOptions | None = None, note: str | None = None
    ) -> Generator[ResidentEngine]:
        """Lend the engine for these options; loads its model if needed.

        A thread that leases its present model once more gets it at once, without waiting in the queue.

        Args:
            options: The options; None: the manager's own.
            note: A line to put before the engine's `steps`, such as why the model is in this process.

        Raises:
            ModelBusy: the thread has a lease of another model, so that it would wait for itself.
            YivideoError: the model can't be loaded; raised for all that wait for this load. The next
                lease loads again.
        """
        holder = threading.get_ident()
        choice = self._choose(options or self._options())
        leased = LeasedEngine(self._take(choice.options, holder), self._record, note, choice.reason)
        try:
            with self._record.leasing():
                yield leased
        finally:
            leased.end()
            if self._leases.end(holder):
                self._idle.start()

    @contextmanager
    def get_models(self, options: SpeechOptions | None = None) -> Generator[ModelBundle]:
        """Lend the models under the names of the owner's contract; otherwise as `lease` does."""
        chosen = self._choose(options or self._options()).options
        with self.lease(chosen) as engine:
            yield bundle_models(engine, chosen)

    def unload(self, drain: bool = False, timeout_s: float | None = None) -> None:
        """Unload the model and free its memory; does nothing where none is loaded.

        Args:
            drain: Wait for the present leases to end; later ones load again.
            timeout_s: How long to wait at most.

        Raises:
            ModelBusy: the model is in use, or still is after `timeout_s`.
        """
        self._refuse_own_lease()
        try:
            with self._leases.turn(None, timeout_s if drain else 0):
                if self._engine is not None:
                    self._drop()
                    self._record.add_unload()
        except TimeoutError:
            raise ModelBusy(
                f"The model is in use ({plural(self._leases.count, 'lease')},"
                f" {self._leases.waiting} waiting)",
                "Retry when they have ended, or let the unload wait for them",
            ) from None

    def renew(self) -> None:
        """Make the next lease load again, whatever is loaded; present leases keep their model."""
        self._renewals += 1

    def unload_after(self, idle_s: float | None) -> None:
        """Change the seconds without a lease after which the model is unloaded; None keeps it."""
        self._idle.change(idle_s)
        if self._engine is not None and not self._leases.count:
            self._idle.start()

    def close(self, timeout_s: float | None = None) -> None:
        """Unload once the present leases have ended, and refuse new ones.

        Args:
            timeout_s: How long to wait for them at most.

        Raises:
            ModelBusy: this thread has a lease itself, or leases are left after `timeout_s`.
        """
        self._refuse_own_lease()
        self._idle.close()
        self._leases.close(ModelError("The model manager is closed", "Create a new one"))
        self.unload(drain=True, timeout_s=timeout_s)

    def health_check(self) -> ModelHealth:
        """Return the present state; never waits, not even for a load."""
        info, error = self.info(), self._record.last_error
        return ModelHealth(
            healthy=error is None,
            loaded=info is not None,
            model=info.model if info else None,
            device=info.device if info else None,
            leases=self._leases.count,
            waiting=self._leases.waiting,
            last_error=error,
        )

    def info(self) -> EngineInfo | None:
        """Return what runs where; None while nothing is loaded."""
        engine = self._engine
        return engine.describe() if engine else None

    def usage(self) -> ModelUsage:
        """Return the counts so far."""
        return self._record.usage

    def _take(self, options: SpeechOptions, holder: int) -> ResidentEngine:
        """Add a lease for a holder and return its engine."""
        key = load_key(options)
        if self._leases.is_held_by(holder):
            self._refuse_other_model(key)
            return self._grant(holder)
        wanted = (key, self._renewals)
        with self._leases.turn(wanted):
            if self._leases.current != wanted:
                self._replace(options, wanted)
            self._idle.stop()
            return self._grant(holder)

    def _grant(self, holder: int) -> ResidentEngine:
        self._leases.add(holder)
        assert self._engine is not None  # it is loaded, and the lease keeps it
        return self._engine

    def _replace(self, options: SpeechOptions, wanted: _Loaded) -> None:
        """Load a model in place of the present one; only in a turn, while there is no lease."""
        is_reload = self._engine is not None
        if is_reload:
            self._drop()
        try:
            with self._record.loading(is_reload):
                self._engine = self._load(options)
        except Exception as error:
            known = classify(error, stage="load")
            self._leases.fail_waiting(known)
            if known is error:
                raise
            raise known from error
        self._leases.current = wanted

    def _drop(self) -> None:
        """Drop the model and free its memory; only in a turn, while there is no lease."""
        self._engine = None
        self._leases.current = None
        free_memory()

    def _refuse_other_model(self, key: LoadKey) -> None:
        """Raise if a thread with a lease requests another model."""
        loaded, _ = self._leases.current or ((), 0)
        wanted = set(key) - set(loaded)
        if wanted:
            requested = ", ".join(f"{name} {value}" for name, value in sorted(wanted))
            raise ModelBusy(
                f"This thread already leases a model, and can't lease one with {requested} beside it",
                "End the first lease before the second begins",
            )

    def _refuse_own_lease(self) -> None:
        if self._leases.is_held_by(threading.get_ident()):
            raise ModelBusy("This thread itself leases the model", "Unload it after the lease has ended")

    def _unload_idle(self) -> None:
        log.info("Unloading the idle model")
        with suppress(ModelBusy):  # a new lease has just begun
            self.unload()


class LeasedEngine:
    """An engine for the duration of its lease: passes calls on until the lease ends, and records them.

    The variable of a `with` statement outlives its block. If it referred to the engine itself, the
    weights would stay in memory while the next model is loaded.
    """

    def __init__(
        self, engine: ResidentEngine, record: UsageRecorder, note: str | None = None, chosen: str = ""
    ) -> None:
        self._engine: ResidentEngine | None = engine
        self._record = record
        self._notes = (note,) if note else ()
        self._chosen = chosen

    def describe(self) -> EngineInfo:
        """See `SpeechEngine.describe`; the lease's note comes before the engine's own steps."""
        info = self._use().describe()
        return replace(info, steps=(*self._notes, *info.steps), chosen=self._chosen)

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        """See `SpeechEngine.transcribe`.

        Raises:
            ConfigValidationError: the batch is too large for a CPU, which loading did not check.
        """
        _check_batch(options.batch_size, self._use().describe())
        with self._record.attempt():
            transcript = self._use().transcribe(audio, options, progress, on_words, checkpoint)
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
        """Drop the engine."""
        self._engine = None

    def _use(self) -> ResidentEngine:
        if self._engine is None:
            raise ModelError("The lease of the model has ended", "Use the engine inside the with block")
        return self._engine


def _check_batch(batch_size: int, info: EngineInfo) -> None:
    # An engine that fell back from the GPU chooses a smaller batch by itself.
    if info.device == "cpu" and not info.steps and batch_size > MAX_CPU_BATCH:
        raise ConfigValidationError(
            f"batch_size: {batch_size} is over {MAX_CPU_BATCH}, the most on a CPU: lower it"
        )


class IdleTimer:
    """Calls an action in a thread of its own after it has run for some time without being stopped.

    Args:
        idle_s: Seconds until the call; None never calls.
        action: The action.
    """

    def __init__(self, idle_s: float | None, action: Callable[[], None]) -> None:
        self._idle_s = idle_s
        self._action = action
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Start, or restart if it runs already."""
        with self._lock:
            self._cancel()
            if self._idle_s is not None:
                self._timer = threading.Timer(self._idle_s, self._act)
                self._timer.name, self._timer.daemon = "model-idle", True
                self._timer.start()

    def stop(self) -> None:
        """Stop until the next start."""
        with self._lock:
            self._cancel()

    def change(self, idle_s: float | None) -> None:
        """Change the time from the next start on."""
        with self._lock:
            self._idle_s = idle_s

    def close(self) -> None:
        """Stop for good."""
        with self._lock:
            self._idle_s = None
            self._cancel()

    def _cancel(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _act(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():  # stopped in the meantime
                return
        self._action()
