"""An engine whose model is in replicas.

A replica that dies takes its requests with it. They are sent again and go on with what was finished, since
their checkpoints are kept on this side.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from yivideo_pipeline.errors.tree import ServiceUnreachable, WorkerKilled
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.remote.client import RemoteEngine, ServiceClient
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.batching import is_in_background
from yivideo_pipeline.speech.engine import Checkpoint, EngineInfo, OnWords, Progress
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.telemetry.measure import StageMetrics

RETRY_S = 1.0
PATIENCE_S = 240.0
"""Requests wait for so long until a replica can be reached; a cluster that starts anew takes a minute."""
MAX_BREAKS = 3
"""A request is given up after so many replicas ended in the middle of it, one after the other."""

Result = TypeVar("Result")
log = logging.getLogger(__name__)


@dataclass(eq=False)
class ReplicaWork:
    """A request in work: on which replica (empty: none has begun), since when in Unix seconds, how far.

    `attempts` counts how often it was sent.
    """

    kind: str
    model: str
    sound_s: float
    background: bool
    since: float = field(default_factory=time.time)
    replica: str = ""
    fraction: float = 0.0
    attempts: int = 0


class _Replicas(Protocol):
    """The replicas as an engine sees them; see `ReplicaModels`."""

    suspects: threading.Lock

    def client(self, options: SpeechOptions, note: Callable[[str], object] = str) -> ServiceClient: ...
    def working(self, work: ReplicaWork) -> AbstractContextManager[None]: ...
    def note_info(self, info: EngineInfo) -> None: ...
    def revision(self, options: SpeechOptions) -> str: ...


class ReplicaEngine:
    """An engine whose model is in the replicas; each call outlives the replica that it began on.

    Attributes:
        cost: What the latest call cost the replica that finished it; None before the first one.
    """

    def __init__(self, models: _Replicas, choice: ModelChoice) -> None:
        self.cost: StageMetrics | None = None
        self._models = models
        self._choice = choice
        self._background = is_in_background()
        self._info: EngineInfo | None = None

    def describe(self) -> EngineInfo:
        """Return what ran where in the latest call; before the first one, what the replicas will run."""
        options = self._choice.options
        planned = EngineInfo(
            model=options.model_name,
            revision="" if self._info else self._models.revision(options),
            device=options.device,
            compute_type=options.compute_type,
            batch_size=options.batch_size,
            threads=options.faster_whisper_threads or 0,
            backend="replicas",
        )
        return replace(self._info or planned, chosen=self._choice.reason)

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        """Recognize what was said; see `SpeechEngine.transcribe`."""
        kept = _KeptParts(checkpoint)
        words = _WordsOnce(on_words)

        def call(engine: RemoteEngine, watched: Progress) -> Transcript:
            return engine.transcribe(audio, options, watched, words if on_words else None, kept)

        return self._persist("transcribe", audio, call, progress, kept)

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Give each word its final time; see `SpeechEngine.align`."""

        def call(engine: RemoteEngine, watched: Progress) -> Transcript:
            return engine.align(audio, transcript, options, watched)

        return self._persist("align", audio, call, progress)

    def detect_language(self, audio: Audio, progress: Progress | None = None) -> tuple[str, float]:
        """Detect the spoken language; see `ResidentEngine.detect_language`."""

        def call(engine: RemoteEngine, watched: Progress) -> tuple[str, float]:
            return engine.detect_language(audio, self._choice.options, watched)

        return self._persist("detect language", audio, call, progress)

    def _persist(
        self,
        kind: str,
        audio: Audio,
        call: Callable[[RemoteEngine, Progress], Result],
        progress: Progress | None,
        kept: "_KeptParts | None" = None,
    ) -> Result:
        """Do a call, again where its replica ends in the middle of it; it fails as any other error says.

        Raises:
            WorkerKilled: replicas ended in the middle of it `MAX_BREAKS` times, and it got no further.
            ServiceUnreachable: no replica could be reached for `PATIENCE_S`.
        """
        model = self._choice.options.model_name
        work = ReplicaWork(kind, model, audio.duration_s, self._background)
        breaks, suspicion = 0, _Suspicion(self._models.suspects)
        if kept:
            kept.on_more = suspicion.clear
        with self._models.working(work):
            while True:
                finished = len(kept.entries) if kept else 0
                attempt = _Attempt(work, progress)
                try:
                    if breaks > 1:
                        suspicion.wait(attempt.wait)
                    return self._attempt(call, attempt)
                except ServiceUnreachable as error:
                    if not attempt.has_begun():
                        raise
                    breaks = 1 if kept and len(kept.entries) > finished else breaks + 1
                    log.warning("Replica %s ended in mid-request: %s", work.replica, error.message)
                    if breaks == MAX_BREAKS:
                        raise WorkerKilled(
                            f"{breaks} replicas ended in the middle of this sound, one after the other",
                            "The sound may crash the model: see the replicas' logs",
                        ) from error
                finally:
                    suspicion.clear()

    def _attempt(self, call: Callable[[RemoteEngine, Progress], Result], attempt: "_Attempt") -> Result:
        client = self._models.client(self._choice.options, attempt.note)
        engine = RemoteEngine(client, self._background)
        found = until_reached(lambda: call(engine, attempt.report), attempt.wait, attempt.has_begun)
        if engine.cost:
            self.cost = engine.cost
            self._info = engine.describe()
            self._models.note_info(self._info)
        return found


class _Attempt:
    """One attempt of a request: whether a replica has begun it, and how far it is."""

    def __init__(self, work: ReplicaWork, progress: Progress | None) -> None:
        self._work, self._progress = work, progress
        self._begun = False
        work.attempts += 1
        work.replica = ""

    def note(self, replica: str) -> None:
        self._work.replica = replica

    def has_begun(self) -> bool:
        return self._begun

    def report(self, fraction: float) -> None:
        """Take an event of the replica; what is begun again never goes back."""
        self._begun = True
        self._work.fraction = max(self._work.fraction, fraction)
        self.wait()

    def wait(self) -> None:
        """Report where the request is, which may end it."""
        if self._progress:
            self._progress(self._work.fraction)


class _Suspicion:
    """Lets one suspected request run at a time, so that only what ends replicas is given up."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._has = False

    def wait(self, on_wait: Callable[[], object]) -> None:
        while not (self._has or self._lock.acquire(timeout=RETRY_S)):
            on_wait()
        self._has = True

    def clear(self) -> None:
        if self._has:
            self._has = False
            self._lock.release()


class _KeptParts:
    """The finished parts of a request, for its next attempt; a caller's own checkpoint gets them too."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self._checkpoint = checkpoint
        self._is_noted = False
        self.entries: dict[str, Any] = dict(checkpoint.load()) if checkpoint else {}
        self.on_more: Callable[[], object] = dict

    def load(self) -> Mapping[str, Any]:
        return self.entries

    def save(self, entries: Mapping[str, Any]) -> None:
        self.entries.update(entries)
        self.on_more()
        if self._checkpoint:
            self._checkpoint.save(entries)

    def note_resumed(self, sound_s: float) -> None:
        """Pass on what the first attempt found; later ones resume what this request itself has done."""
        if self._checkpoint and not self._is_noted:
            self._checkpoint.note_resumed(sound_s)
        self._is_noted = True


class _WordsOnce:
    """Passes words on that were not passed on by an attempt before."""

    def __init__(self, on_words: OnWords | None) -> None:
        self._on_words = on_words
        self._until_s = float("-inf")

    def __call__(self, words: Sequence[Word]) -> None:
        new = [word for word in words if word.start_s > self._until_s]
        if new and self._on_words:
            self._until_s = new[-1].start_s
            self._on_words(new)


def until_reached(
    call: Callable[[], Result],
    on_wait: Callable[[], object] = dict,
    has_begun: Callable[[], bool] = bool,
) -> Result:
    """Repeat a call until a replica answers it; other errors pass.

    Args:
        call: What to do.
        on_wait: Called before each repetition; what it raises ends the wait.
        has_begun: Whether the call was answered, so that it must not be repeated here.

    Raises:
        ServiceUnreachable: nobody answered for `PATIENCE_S`, or the answer broke off.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except ServiceUnreachable:
            if has_begun() or time.monotonic() > deadline:
                raise
        time.sleep(RETRY_S)
        on_wait()
