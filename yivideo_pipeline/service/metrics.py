"""Prometheus counters: of requests as they end, and of stages as the history tells of them."""

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

if TYPE_CHECKING:
    import pandas as pd

disable_created_metrics()  # a series more for each, of which no query of ours asks

STAGE_BUCKETS_S = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200)
SPEED_BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
REQUEST_BUCKETS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class Counters:
    """Counters of this process, in a registry of their own; they only ever grow.

    Those of the stages begin with all that the history holds, so that a restart leaves no gap.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "yivideo_requests",
            "Answered requests; status `gone`: the client did not wait",
            ("endpoint", "method", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "yivideo_request_duration_seconds",
            "Time from a request to the end of its answer",
            ("endpoint",),
            buckets=REQUEST_BUCKETS_S,
            registry=self.registry,
        )
        self._errors = Counter(
            "yivideo_errors", "Requests that failed, by class of error", ("kind",), registry=self.registry
        )
        self._stage_seconds = Histogram(
            "yivideo_stage_duration_seconds",
            "Work for one stage of one video",
            ("stage",),
            buckets=STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self._stage_speed = Histogram(
            "yivideo_stage_times_real_time",
            "Seconds of sound by seconds of work, of one stage of one video",
            ("stage",),
            buckets=SPEED_BUCKETS,
            registry=self.registry,
        )
        self._stage_audio = Counter(
            "yivideo_stage_audio_seconds", "Sound that was worked on", ("stage",), registry=self.registry
        )
        self._stage_failures = Counter(
            "yivideo_stage_failures",
            "Stages that failed, by class of error; stage `run`: the process died",
            ("stage", "kind"),
            registry=self.registry,
        )

    def count_request(self, endpoint: str, method: str, status: str, wall_s: float, kind: str | None) -> None:
        """Count a request by its route, never by its path."""
        known = method if method in _METHODS else "other"
        self._requests.labels(endpoint, known, status).inc()
        self._request_seconds.labels(endpoint).observe(wall_s)
        if kind:
            self._errors.labels(kind).inc()

    def count_stages(self, samples: "pd.DataFrame") -> None:
        """Count stages that were read from the history for the first time."""
        told = zip(
            *(samples[name] for name in ("stage", "success", "wall_s", "duration_s", "reused", "kind")),
            strict=True,
        )
        for stage, success, wall_s, audio_s, reused, kind in told:
            if not success:
                self._stage_failures.labels(stage or "run", kind or "unknown").inc()
                continue
            if wall_s >= 0:  # not where it is unknown
                self._stage_seconds.labels(stage).observe(wall_s)
            if audio_s >= 0 and not reused:
                self._stage_audio.labels(stage).inc(audio_s)
                if wall_s > 0:
                    self._stage_speed.labels(stage).observe(audio_s / wall_s)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
