"""Prometheus figures of the real service."""

from importlib.metadata import version

import pytest
from fastapi.routing import APIRoute
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from tests.service.recorded_work import record_failures, record_videos
from tests.service.server import SAMPLES, run_server, wait_until
from yivideo_pipeline.service.metrics import Counters
from yivideo_pipeline.service.performance.alerts import ALERTS
from yivideo_pipeline.stages import STAGES


@pytest.fixture(scope="module")
def worked_home(tmp_path_factory):
    return tmp_path_factory.mktemp("metrics")


@pytest.fixture(scope="module")
def client(worked_home, model_dir):
    record_videos(worked_home, ["a.mp4", "b.mp4", "c.mp4"], 3600, [10.0, 20.0, 30.0])
    record_failures(worked_home, ["d.mp4"])
    with run_server(worked_home, model_dir) as server, server.client() as client:
        yield client


def read(client) -> dict[tuple[str, tuple], float]:
    """Every sample by its name and labels."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(figures: dict, name: str, **labels: str) -> float:
    return figures[name, tuple(sorted(labels.items()))]


def test_stages_are_counted_from_the_history(client):
    figures = read(client)
    seconds = "yivideo_stage_duration_seconds"
    assert value(figures, f"{seconds}_count", stage="transcript") == 3
    assert value(figures, f"{seconds}_sum", stage="transcript") == 6 + 16 + 26
    assert value(figures, f"{seconds}_bucket", stage="transcript", le="10.0") == 1
    assert value(figures, f"{seconds}_bucket", stage="transcript", le="20.0") == 2
    assert value(figures, "yivideo_stage_audio_seconds_total", stage="transcript") == 180
    assert value(figures, "yivideo_stage_times_real_time_bucket", stage="transcript", le="5.0") == 2
    assert value(figures, "yivideo_stage_failures_total", stage="transcript", kind="memory") == 1


def test_each_stage_is_counted_once_however_often_it_is_asked_for(client, worked_home):
    before = read(client)
    record_videos(worked_home, ["e.mp4"], 0, [10.0])
    after = read(client)
    for stage in STAGES:
        counts = [value(one, "yivideo_stage_duration_seconds_count", stage=stage) for one in (before, after)]
        assert counts[1] == counts[0] + 1


def test_counters_never_fall_when_samples_are_cleared(client):
    before = read(client)
    assert client.post("/api/v1/performance/clear", json={"confirm": "clear"}).status_code == 200
    after = read(client)
    fallen = {
        key: (before[key], after[key])
        for key in before
        if key[0].endswith(("_total", "_count", "_bucket")) and after[key] < before[key]
    }
    assert fallen == {}


def test_requests_are_told_by_route_never_by_path(client):
    for number in range(3):
        client.get(f"/nobody/knows/{number}")
    client.request("BREW", "/health")
    figures = read(client)
    assert value(figures, "yivideo_requests_total", endpoint="other", method="GET", status="404") == 3
    assert value(figures, "yivideo_requests_total", endpoint="/health", method="GET", status="200") >= 1
    assert value(figures, "yivideo_errors_total", kind="not_found") >= 3
    endpoints = {dict(labels)["endpoint"] for name, labels in figures if name == "yivideo_requests_total"}
    assert not [endpoint for endpoint in endpoints if "nobody" in endpoint]
    methods = {dict(labels)["method"] for name, labels in figures if name == "yivideo_requests_total"}
    assert "BREW" not in methods


def test_the_format_is_the_one_that_is_accepted(client):
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in openmetrics_parser(answer.text)}
    plain = {family.name for family in text_string_to_metric_families(client.get("/metrics").text)}
    assert {"yivideo_requests", "yivideo_stage_duration_seconds", "process_cpu_seconds"} <= names & plain
    assert answer.text.endswith("# EOF\n")


def test_the_process_and_its_build_are_told(client):
    figures = read(client)
    assert value(figures, "process_resident_memory_bytes") > 2**20
    assert value(figures, "process_cpu_seconds_total") > 0
    assert value(figures, "process_open_fds") > 0
    (build,) = [dict(labels) for name, labels in figures if name == "yivideo_build_info"]
    assert build["version"] == version("yivideo-pipeline")


def figures_of(counters: Counters) -> dict[tuple[str, tuple], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in counters.registry.collect()
        for sample in family.samples
    }


def test_what_was_reused_is_no_work():
    counters = Counters()
    same = {"stage": ["transcript"] * 2, "success": [1, 1], "duration_s": [60.0] * 2, "kind": [None] * 2}
    counters.count_stages({**same, "wall_s": [6.0, 0.01], "reused": [0, 1]})
    figures = figures_of(counters)
    assert value(figures, "yivideo_stage_duration_seconds_count", stage="transcript") == 1
    assert value(figures, "yivideo_stage_times_real_time_sum", stage="transcript") == 10
    assert value(figures, "yivideo_stage_audio_seconds_total", stage="transcript") == 60


def test_what_has_not_happened_yet_is_zero():
    counters = Counters()
    counters.expect_requests([APIRoute("/made", lambda: None, methods=["POST"], status_code=202)])
    figures = figures_of(counters)
    assert value(figures, "yivideo_errors_total", kind="memory") == 0
    assert value(figures, "yivideo_requests_total", endpoint="/made", method="POST", status="202") == 0
    assert value(figures, "yivideo_request_duration_seconds_count", endpoint="/asr") == 0
    for stage in STAGES:
        assert value(figures, "yivideo_stage_failures_total", stage=stage, kind="disk") == 0
        assert value(figures, "yivideo_stage_duration_seconds_count", stage=stage) == 0
        assert value(figures, "yivideo_stage_audio_seconds_total", stage=stage) == 0


def test_every_alert_has_a_state(client):
    figures = read(client)
    states = {dict(labels)["alert"] for name, labels in figures if name == "yivideo_alert_active"}
    assert states == set(ALERTS)


@pytest.mark.model
def test_the_models_work_is_counted(client, tiny_weights):
    with (SAMPLES / "harbour-15s.mp4").open("rb") as file:
        sent = client.post("/v1/audio/transcriptions", files={"file": file}, data={"model": "whisper-1"})
    assert sent.status_code == 200
    figures = wait_until(lambda: (now := read(client))["yivideo_leases", ()] == 0 and now)
    assert value(figures, "yivideo_model_loads_total") == 1
    assert value(figures, "yivideo_model_loaded") == 1
    assert value(figures, "yivideo_audio_seconds_total") > 15
    assert value(figures, "yivideo_batch_size_count") >= 1
    assert value(figures, "yivideo_batch_size_sum") >= value(figures, "yivideo_batch_size_count")
    assert value(figures, "yivideo_process_memory_bytes") > 2**20
