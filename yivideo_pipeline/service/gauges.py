"""Prometheus figures that are looked up when somebody asks: places, model, queue, machine, alerts, daemon."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from yivideo_pipeline.service.performance.alerts import ALERTS
from yivideo_pipeline.service.performance.machine import MB, read_gpu, read_memory
from yivideo_pipeline.service.performance.system import read_daemons, read_runs
from yivideo_pipeline.speech.batching import batch_sizes

if TYPE_CHECKING:
    from yivideo_pipeline.service.dependencies import ServiceState

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)


class Gauges(Collector):
    """Each family stands in the answer also where nothing is known of it, so that no query is a typing error.

    Args:
        shared: What is looked at.
    """

    def __init__(self, shared: "ServiceState") -> None:
        self._shared = shared

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering takes no look."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Look now."""
        yield from self._service()
        yield from self._model()
        yield _batches()
        yield from _machine()
        yield from self._dagster()
        standing = {alert.name for alert in self._shared.performance.alerts.standing()}
        alerts = GaugeMetricFamily("yivideo_alert_active", "1: the alert stands", labels=["alert"])
        for name in ALERTS:
            alerts.add_metric([name], int(name in standing))
        yield alerts

    def _service(self) -> Iterator[Metric]:
        shared = self._shared
        yield GaugeMetricFamily(
            "yivideo_start_time_seconds", "When the service started, Unix time", shared.started_at
        )
        yield GaugeMetricFamily("yivideo_places", "Requests that are taken at once", shared.admission.places)
        yield GaugeMetricFamily(
            "yivideo_places_taken", "Requests waiting for the model or using it", shared.admission.inside
        )
        memory = psutil.Process().memory_info().rss
        yield GaugeMetricFamily("yivideo_process_memory_bytes", "Memory of the service", memory)

    def _model(self) -> Iterator[Metric]:
        manager = self._shared.models.manager
        health, usage = manager.health_check(), manager.usage()
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
            ("audio_seconds", "Sound that the service's model transcribed", usage.audio_s),
        ):
            yield CounterMetricFamily(f"yivideo_{name}", text, value)

    def _dagster(self) -> Iterator[Metric]:
        instance = self._shared.performance.history.instance()
        runs = GaugeMetricFamily("yivideo_runs", "Dagster's runs, by state", labels=["state"])
        if counts := read_runs(instance):
            runs.add_metric(["queued"], counts.queued)
            runs.add_metric(["running"], counts.running)
        yield runs
        ages = GaugeMetricFamily(
            "yivideo_daemon_heartbeat_age_seconds",
            "Since a part of Dagster's daemon was heard of",
            labels=["daemon"],
        )
        healthy = GaugeMetricFamily("yivideo_daemon_healthy", "1: heard of, no error", labels=["daemon"])
        for daemon in read_daemons(instance):
            ages.add_metric([daemon.name], daemon.heartbeat_age_s)
            healthy.add_metric([daemon.name], int(daemon.healthy))
        yield ages
        yield healthy


def _machine() -> Iterator[Metric]:
    gpu = read_gpu()
    used = gpu.memory_used_mb if gpu else None
    total = gpu.memory_total_mb if gpu else None
    utilization = gpu.utilization_pct if gpu else None
    memory = read_memory().used_pct
    for name, text, value in (
        ("memory_used_ratio", "Memory of the machine or container in use, 0 to 1", memory / 100),
        ("gpu_memory_used_bytes", "GPU memory in use by everybody", used and used * MB),
        ("gpu_memory_total_bytes", "GPU memory there is", total and total * MB),
        ("gpu_utilization_ratio", "GPU in use, 0 to 1", utilization and utilization / 100),
    ):
        family = GaugeMetricFamily(f"yivideo_{name}", text)
        if value is not None:
            family.add_metric([], value)
        yield family


def _batches() -> Metric:
    sizes = batch_sizes()
    counts = [sum(number for size, number in sizes.items() if size <= most) for most in BATCH_BUCKETS]
    total = sum(sizes.values())
    buckets = [
        *((str(float(most)), n) for most, n in zip(BATCH_BUCKETS, counts, strict=True)),
        ("+Inf", total),
    ]
    family = HistogramMetricFamily("yivideo_batch_size", "Pieces of sound done at once")
    family.add_metric([], buckets, sum(size * number for size, number in sizes.items()))
    return family
