"""The gateway's speech models where replicas hold them, behind one address that spreads requests."""

import hashlib
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yivideo_pipeline.errors.tree import ModelBusy, ServiceUnreachable
from yivideo_pipeline.remote.client import CONNECT_S, ServiceClient
from yivideo_pipeline.remote.ray_dashboard import RayDashboard
from yivideo_pipeline.remote.replica_engine import ReplicaEngine, ReplicaWork, until_reached
from yivideo_pipeline.settings.cluster import ClusterSettings
from yivideo_pipeline.settings.options import LOAD_FIELDS, SpeechOptions
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.speech.usage import ModelHealth, ModelUsage, UsageRecorder
from yivideo_pipeline.speech.weights import WeightsStatus

if TYPE_CHECKING:
    import httpx

MODEL_HEADER = "serve_multiplexed_model_id"
"""Ray Serve sends a request to a replica that has this model, if there is one."""
REPLICA_HEADER = "x-yivideo-replica"
"""Names the replica that answers."""
COUNT_S = 2.0
"""How long the number of replicas is taken for the same."""
SILENCE_S = 20.0
"""Replicas send an event every 5 s: after this time without one the replica, or the way to it, is dead."""


def model_id(options: SpeechOptions) -> str:
    """Return the name under which replicas announce the model that these options load."""
    decides = repr([getattr(options, name) for name in sorted(LOAD_FIELDS)])
    return f"{options.model_name}-{hashlib.sha256(decides.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, repr=False)
class ReplicaClient(ServiceClient):
    """Calls of replicas that have a model; `note` learns which one answers."""

    model: str = ""
    note: Callable[[str], object] = str

    @property
    def shares_disk(self) -> bool:
        """Never: who answers at a local address may run elsewhere."""
        return False

    def open(self) -> "httpx.Client":
        """Return an open HTTP client; the caller closes it."""
        import httpx

        client = super().open()
        client.timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        client.headers[MODEL_HEADER] = self.model
        client.event_hooks = {"response": [lambda answer: self.note(answer.headers.get(REPLICA_HEADER, ""))]}
        return client


class ReplicaModels:
    """What the gateway's routes need of models, wherever the replicas are; see `ModelManager`, `LocalSpeech`.

    Args:
        settings: They name the address of the replicas.
        key: The key that they want.
        options: Returns the options of leases that name none.
    """

    def __init__(
        self, settings: ClusterSettings, key: str | None, options: Callable[[], SpeechOptions]
    ) -> None:
        self._settings, self._key, self._options = settings, key, options
        self._url = settings.replicas_url or ""
        self._running, self._counted_at = settings.min_replicas, float("-inf")
        self._record = UsageRecorder(time.monotonic)
        self._lock = threading.Lock()
        self._work: list[ReplicaWork] = []
        self._done: dict[str, int] = {}
        self._chosen: dict[SpeechOptions, ModelChoice] = {}
        self._info: EngineInfo | None = None
        self.suspects = threading.Lock()
        """Held by the request that is tried by itself since replicas ended in the middle of it."""

    @property
    def work(self) -> list[ReplicaWork]:
        """The requests in work."""
        with self._lock:
            return list(self._work)

    @property
    def done(self) -> dict[str, int]:
        """How many requests each replica has finished."""
        with self._lock:
            return dict(self._done)

    def background_slots(self) -> int:
        """Return how many requests in the background the replicas may have.

        They have up to twice as many as they should, so that their number doubles while more wait; the rest
        waits at the runs, so that it goes to the new replicas and others need not wait behind it.
        """
        return 2 * self._settings.requests_per_replica * max(1, self.count_running())

    def count_running(self) -> int:
        """Return how many replicas run, as far as Ray's dashboard has said it."""
        if time.monotonic() - self._counted_at > COUNT_S:
            self._counted_at = time.monotonic()
            with suppress(ServiceUnreachable):
                replicas = RayDashboard(self._settings.dashboard_url).serve_state().replicas
                self._running = sum(one.state == "RUNNING" for one in replicas)
        return self._running

    @contextmanager
    def lease(self, options: SpeechOptions | None = None) -> Generator[ReplicaEngine]:
        """Lend an engine whose model is in the replicas; many may be lent at once, for several models too."""
        wanted = options or self._options()
        choice = until_reached(lambda: self.choose(wanted))
        with self._record.leasing():
            yield ReplicaEngine(self, choice)

    def client(self, options: SpeechOptions, note: Callable[[str], object] = str) -> ReplicaClient:
        """Return a client of the replicas that have a model."""
        return ReplicaClient(self._url, self._key, model_id(options), note)

    @contextmanager
    def working(self, work: ReplicaWork) -> Generator[None]:
        """Show a request among those in work until the block ends, and count it where it succeeds."""
        with self._lock:
            self._work.append(work)
        try:
            with self._record.attempt():
                yield
            with self._lock:
                self._done[work.replica] = self._done.get(work.replica, 0) + 1
            self._record.add_audio(work.sound_s if work.kind == "transcribe" else 0.0)
        finally:
            with self._lock:
                self._work.remove(work)

    def note_info(self, info: EngineInfo) -> None:
        """Note what ran where in the latest call."""
        self._info = info

    def info(self) -> EngineInfo | None:
        """Return what ran where in the latest call; None before the first one."""
        return self._info

    def usage(self) -> ModelUsage:
        """Return the counts so far; loads are the replicas' own."""
        return self._record.usage

    def health_check(self) -> ModelHealth:
        """Return the present state, as far as it is known here; asks nobody."""
        info, error, work = self._info, self._record.last_error, self.work
        return ModelHealth(
            healthy=error is None,
            loaded=info is not None,
            model=info.model if info else None,
            device=info.device if info else None,
            leases=sum(bool(one.replica) for one in work),
            waiting=sum(not one.replica for one in work),
            last_error=error,
        )

    def unload(self, drain: bool = False, timeout_s: float | None = None) -> None:
        """Refuse: a model stays as long as its replica.

        Raises:
            ModelBusy: always.
        """
        raise ModelBusy("Replicas hold the models as long as they live", "Lower cluster.min_replicas")

    def renew(self) -> None:
        """Do nothing: a replica loads what a request's options name."""

    def unload_after(self, idle_s: float | None) -> None:
        """Do nothing: idle replicas end by `cluster.min_replicas`."""

    def close(self, timeout_s: float | None = None) -> None:
        """Do nothing: replicas outlive the gateway."""

    def choose(self, options: SpeechOptions) -> ModelChoice:
        """Return the options with the model that `auto` means at the replicas; the answer stays the same."""
        if options.model_name != AUTO_MODEL:
            return ModelChoice(options)
        if options not in self._chosen:
            there = self.client(options).describe(options)
            chosen = options.model_copy(update={"model_name": there.model_name})
            self._chosen[options] = ModelChoice(chosen, there.reason)
        return self._chosen[options]

    def check(self, options: SpeechOptions) -> tuple[str, ...]:
        """Return warnings about the options at the replicas."""
        return self.client(options).describe(options).warnings

    def revision(self, options: SpeechOptions) -> str:
        """Return the revision of the weights at the replicas."""
        return until_reached(lambda: self.client(options).describe(options).revision)

    def weights(self, options: SpeechOptions) -> WeightsStatus:
        """Return that the weights can be had; replicas refuse a model that they don't have."""
        return WeightsStatus("present", self._url)

    def aligner_of(self, options: SpeechOptions, language: str) -> str | None:
        """Return the aligner of a language at the replicas."""
        return until_reached(lambda: self.client(options).describe(options, language).aligner)
