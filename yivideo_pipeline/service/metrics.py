"""Prometheus metrics: counters that grow as requests and stages end, and gauges that are read on demand."""

import platform
from collections import Counter as Counting
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi.routing import APIRoute
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from yivideo_pipeline.errors.tree import classes_by_kind
from yivideo_pipeline.ledger.backlog import Backlog
from yivideo_pipeline.ledger.samples import Columns
from yivideo_pipeline.ledger.workers import BusyWorker
from yivideo_pipeline.machine.host import read_process_memory_bytes
from yivideo_pipeline.remote.replicas import ReplicaModels
from yivideo_pipeline.service.admission import Admission
from yivideo_pipeline.service.performance.alerts import ALERTS, Alert
from yivideo_pipeline.service.performance.operations import REQUESTS
from yivideo_pipeline.service.performance.system import MB, count_runs, read_daemons, read_gpu, read_memory
from yivideo_pipeline.speech.batching import batch_sizes
from yivideo_pipeline.speech.manager import ModelManager
from yivideo_pipeline.stages import STAGES

if TYPE_CHECKING:
    import dagster as dg

disable_created_metrics()  # an extra series for each, which no query of ours uses

STAGE_BUCKETS_S = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200)
SPEED_BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
REQUEST_BUCKETS_S = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Counters:
    """Counters of this process, in a registry of their own; they only ever grow.

    The counters of the stages start with the whole history, so that a restart leaves no gap. What is known
    beforehand starts at 0, so that the first event is an increase too.
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
            "Time from a request to the end of its response",
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
            "Seconds of audio by seconds of work, of one stage of one video",
            ("stage",),
            buckets=SPEED_BUCKETS,
            registry=self.registry,
        )
        self._stage_audio = Counter(
            "yivideo_stage_audio_seconds", "Audio that was processed", ("stage",), registry=self.registry
        )
        self._stage_failures = Counter(
            "yivideo_stage_failures",
            "Stages that failed, by class of error; stage `run`: the process died",
            ("stage", "kind"),
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        build = Info("yivideo_build", "What runs here", registry=self.registry)
        build.info({"version": version("yivideo-pipeline"), "python": platform.python_version()})
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        kinds = classes_by_kind()
        for kind in kinds:
            self._errors.labels(kind)
        for endpoint in REQUESTS:
            self._request_seconds.labels(endpoint)
        for stage in STAGES:
            self._stage_seconds.labels(stage)
            self._stage_speed.labels(stage)
            self._stage_audio.labels(stage)
            for kind in kinds:
                self._stage_failures.labels(stage, kind)

    def expect_requests(self, routes: Iterable[APIRoute]) -> None:
        """Start the counters of these routes at 0, for the status of their success."""
        for route in routes:
            for method in route.methods or ():
                self._requests.labels(route.path, method, str(route.status_code or 200))

    def count_request(self, endpoint: str, method: str, status: str, wall_s: float, kind: str | None) -> None:
        """Count a request by its route, never by its path."""
        known = method if method in _METHODS else "other"
        self._requests.labels(endpoint, known, status).inc()
        self._request_seconds.labels(endpoint).observe(wall_s)
        if kind:
            self._errors.labels(kind).inc()

    def count_stages(self, samples: Columns) -> None:
        """Count stages that were read from the history for the first time; what was reused is no work."""
        rows = zip(
            *(samples[name] for name in ("stage", "success", "wall_s", "duration_s", "reused", "kind")),
            strict=True,
        )
        for stage, success, wall_s, audio_s, reused, kind in rows:
            if not success:
                self._stage_failures.labels(stage or "run", kind or "unknown").inc()
                continue
            if reused:
                continue
            if wall_s is not None:
                self._stage_seconds.labels(stage).observe(wall_s)
            if audio_s is not None:
                self._stage_audio.labels(stage).inc(audio_s)
                if wall_s:
                    self._stage_speed.labels(stage).observe(audio_s / wall_s)


class Gauges(Collector):
    """Metrics that are read on demand: the service, its model, batches, the machine, Dagster and alerts.

    Each family is exported even where no value is known, so that no query looks like a typing error.

    Args:
        started_at: When the service started, as Unix time.
        admission: Counts the requests in the service.
        manager: Holds the model.
        instance: Dagster's instance; None where there is none yet.
        alerts: The active alerts.
        workers: The processes at work, on all hosts.
        backlog: What is waiting or at work; None where it was not counted yet.
    """

    def __init__(
        self,
        started_at: float,
        admission: Admission,
        manager: ModelManager | ReplicaModels,
        instance: "dg.DagsterInstance | None",
        alerts: Sequence[Alert],
        workers: Sequence[BusyWorker],
        backlog: Backlog | None,
    ) -> None:
        self._started_at = started_at
        self._admission = admission
        self._manager = manager
        self._instance = instance
        self._alerts = alerts
        self._workers = workers
        self._backlog = backlog

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering reads no values."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read the present values."""
        yield from self._service()
        yield from self._model()
        yield _batches()
        yield from _machine()
        yield from self._dagster()
        yield from self._library()
        yield from self._replicas()
        active = {alert.name for alert in self._alerts}
        alerts = GaugeMetricFamily("yivideo_alert_active", "1: the alert is active", labels=["alert"])
        for name in ALERTS:
            alerts.add_metric([name], int(name in active))
        yield alerts

    def _service(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "yivideo_start_time_seconds", "When the service started, Unix time", self._started_at
        )
        yield GaugeMetricFamily("yivideo_places", "Requests that are admitted at once", self._admission.slots)
        yield GaugeMetricFamily(
            "yivideo_places_taken", "Requests waiting for the model or using it", self._admission.taken
        )
        memory = read_process_memory_bytes()
        yield GaugeMetricFamily("yivideo_process_memory_bytes", "Memory of the service", memory)

    def _model(self) -> Iterator[Metric]:
        health, usage = self._manager.health_check(), self._manager.usage()
        for name, text, value in (
            ("leases", "Requests that have the model", health.leases),
            ("leases_waiting", "Requests that wait for another model than the one in use", health.waiting),
            ("model_loaded", "1: a model is loaded", int(health.loaded)),
            ("model_healthy", "0: the last load or call failed", int(health.healthy)),
        ):
            yield GaugeMetricFamily(f"yivideo_{name}", text, value)
        for name, text, value in (
            ("model_loads", "Loads that succeeded", usage.loads),
            ("model_load_failures", "Loads that failed", usage.failed_loads),
            ("model_reloads", "Loads in place of another model", usage.reloads),
            ("model_unloads", "Unloads that left nothing loaded", usage.unloads),
            ("model_loading_seconds", "Time spent loading", usage.loading_s),
            ("model_leases", "Leases given", usage.leases),
            ("audio_seconds", "Audio that the service's model transcribed", usage.audio_s),
        ):
            yield CounterMetricFamily(f"yivideo_{name}", text, value)

    def _dagster(self) -> Iterator[Metric]:
        runs = GaugeMetricFamily("yivideo_runs", "Dagster's runs, by state", labels=["state"])
        if counts := count_runs(self._instance):
            runs.add_metric(["queued"], counts.queued)
            runs.add_metric(["running"], counts.running)
        yield runs
        yield _gauge(
            "runs_failed_day", "Runs that failed within a day", counts.failed_today if counts else None
        )
        yield _gauge(
            "run_waiting_seconds",
            "How long the oldest queued run has waited",
            counts.waiting_s if counts else None,
        )
        ages = GaugeMetricFamily(
            "yivideo_daemon_heartbeat_age_seconds",
            "Time since the last heartbeat of a part of Dagster's daemon",
            labels=["daemon"],
        )
        healthy = GaugeMetricFamily(
            "yivideo_daemon_healthy", "1: a recent heartbeat, no error", labels=["daemon"]
        )
        for daemon in read_daemons(self._instance):
            ages.add_metric([daemon.name], daemon.heartbeat_age_s)
            healthy.add_metric([daemon.name], int(daemon.healthy))
        yield ages
        yield healthy

    def _library(self) -> Iterator[Metric]:
        backlog = self._backlog
        yield _gauge(
            "backlog_videos", "Videos taken that have no subtitles yet", backlog.videos if backlog else None
        )
        yield _gauge(
            "backlog_audio_seconds",
            "Sound in them, partly guessed by size",
            backlog.audio_s if backlog else None,
        )
        at_work = GaugeMetricFamily(
            "yivideo_at_work", "Videos that processes are at work on", labels=["host", "stage"]
        )
        for (host, stage), number in Counting((one.host, one.stage) for one in self._workers).items():
            at_work.add_metric([host, stage], number)
        yield at_work

    def _replicas(self) -> Iterator[Metric]:
        """Read what this gateway has sent to replicas; the sum over the gateways is all of it."""
        models = self._manager if isinstance(self._manager, ReplicaModels) else None
        yield _gauge("replicas", "Replicas that run", models.count_running() if models else None)
        requests = GaugeMetricFamily(
            "yivideo_replica_requests",
            "Requests in work at each replica; without a name: they wait for one",
            labels=["replica"],
        )
        done = CounterMetricFamily(
            "yivideo_replica_done", "Requests that each replica has finished", labels=["replica"]
        )
        if models:
            for replica, number in Counting(work.replica for work in models.work).items():
                requests.add_metric([replica], number)
            for replica, number in models.done.items():
                done.add_metric([replica], number)
        yield requests
        yield done


def _gauge(name: str, text: str, value: float | None) -> Metric:
    """Return a gauge, which has no value where that is not known."""
    family = GaugeMetricFamily(f"yivideo_{name}", text)
    if value is not None:
        family.add_metric([], value)
    return family


def _machine() -> Iterator[Metric]:
    gpu = read_gpu()
    used = gpu.memory_used_mb if gpu else None
    total = gpu.memory_total_mb if gpu else None
    utilization = gpu.utilization_pct if gpu else None
    memory = read_memory().used_pct
    for name, text, value in (
        ("memory_used_ratio", "Memory of the machine or container in use, 0 to 1", memory / 100),
        ("gpu_memory_used_bytes", "GPU memory in use by all processes", used and used * MB),
        ("gpu_memory_total_bytes", "GPU memory in all", total and total * MB),
        ("gpu_utilization_ratio", "GPU in use, 0 to 1", utilization and utilization / 100),
    ):
        yield _gauge(name, text, value)


def _batches() -> Metric:
    sizes = batch_sizes()
    counts = [sum(number for size, number in sizes.items() if size <= bound) for bound in BATCH_BUCKETS]
    total = sum(sizes.values())
    buckets = [
        *((str(float(bound)), n) for bound, n in zip(BATCH_BUCKETS, counts, strict=True)),
        ("+Inf", total),
    ]
    family = HistogramMetricFamily("yivideo_batch_size", "Chunks of audio in one batch")
    family.add_metric([], buckets, sum(size * number for size, number in sizes.items()))
    return family
