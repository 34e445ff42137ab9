"""What the real service tells of a GPU: here a stand-in for the driver's library, compiled from C."""

import pytest

from tests.machine.stand_in_driver import build_driver
from tests.service.server import run_server
from tests.waiting import wait_for

MB = 2**20


@pytest.fixture(scope="module")
def client(tmp_path_factory, model_dir):
    folder = build_driver(tmp_path_factory.mktemp("nvml"))
    more = {"LD_LIBRARY_PATH": str(folder), "YIVIDEO_ALERTS__GPU_PCT": "20"}
    with run_server(folder / "home", model_dir, None, **more) as server, server.client() as client:
        yield client


def test_the_figures_of_the_gpu_are_reported(client):
    gpu = client.get("/api/v1/performance/system-health").json()["gpu"]
    assert (gpu["memory_used_mb"], gpu["memory_total_mb"]) == (3000, 12288)
    assert gpu["memory_used_pct"] == pytest.approx(100 * 3000 / 12288, abs=0.01)
    assert 0 <= gpu["utilization_pct"] <= 100


def test_prometheus_gets_the_gpus_memory_in_bytes(client):
    lines = client.get("/metrics").text.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if line.startswith("yivideo_gpu"))
    assert float(figures["yivideo_gpu_memory_used_bytes"]) == 3000 * MB
    assert float(figures["yivideo_gpu_memory_total_bytes"]) == 12288 * MB
    assert 0 <= float(figures["yivideo_gpu_utilization_ratio"]) <= 1


def test_gpu_memory_beyond_its_threshold_is_an_alert(client):
    alerts = wait_for(lambda: client.get("/api/v1/performance/insights").json()["alerts"])
    assert [(alert["name"], alert["threshold"]) for alert in alerts] == [("gpu", 20)]
    series = client.get("/api/v1/performance/dashboard").json()["series"]
    assert max(value for value in series["gpu_memory_pct"] if value) == pytest.approx(24.41, abs=0.01)
