"""The head of a cluster, kept running: one that runs but does not answer is as good as gone."""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.ports import free_port
from tests.waiting import wait_for
from yivideo_pipeline.cli import ray_nodes
from yivideo_pipeline.cli.ray_nodes import RayNodes, dashboard_port
from yivideo_pipeline.cli.supervisor import SupervisedProgram
from yivideo_pipeline.remote.ray_dashboard import APPLICATION
from yivideo_pipeline.settings.cluster import ClusterSettings
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.settings import Settings


class SleepingHead(RayNodes):
    """A program that sleeps in the place of Ray's head: it runs, and nobody answers at the port."""

    def __init__(self, settings: Settings, reports: list[str]) -> None:
        super().__init__(settings, os.environ, reports.append)
        self.heads: list[SupervisedProgram] = []

    def _start(self, name: str, *arguments: str, **environment: str) -> SupervisedProgram:
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        self.heads.append(SupervisedProgram(name, command, os.environ, self._settings.home / "logs"))
        return self.heads[-1]


class DashboardWithoutLogs(BaseHTTPRequestHandler):
    """Says what Ray Serve runs; the node with its controller's log is gone."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, {})

    def do_GET(self) -> None:
        if self.path.startswith("/api/v0/logs"):
            self._answer(500, {"msg": "no such node"})
            return
        deployments = {"replicas": {"message": "", "target_num_replicas": 1, "replicas": []}}
        application = {"status": "DEPLOYING", "message": "", "deployments": deployments}
        controller = {"node_id": "0", "log_file_path": "/serve/controller.log"}
        self._answer(200, {"applications": {APPLICATION: application}, "controller_info": controller})

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setenv("YIVIDEO_HOME", str(tmp_path))
    url = f"http://127.0.0.1:{free_port()}"
    cluster = ClusterSettings(dashboard_url=url, head_port=free_port(), replicas_port=free_port())
    return load_settings().model_copy(update={"cluster": cluster})


def test_a_head_that_runs_and_does_not_answer_is_started_again(settings, monkeypatch):
    monkeypatch.setattr(ray_nodes, "HUNG_S", 0.5)
    monkeypatch.setattr(ray_nodes, "POLL_S", 0.1)
    reports: list[str] = []
    nodes = SleepingHead(settings, reports)
    nodes.start()
    try:

        def is_another() -> bool:
            nodes.check()
            return len(nodes.heads) > 1

        wait_for(is_another)
        assert nodes.heads[0].exit_code == -signal.SIGKILL
    finally:
        nodes.stop()
    assert all(head.exit_code is not None for head in nodes.heads)
    assert reports[0].startswith(
        "The ray-head has not answered for 0 s: Ray's dashboard at http://127.0.0.1:"
    )
    assert reports[1].startswith("The ray-head ended with exit code -9; it restarts in 1 s.")


def test_a_head_whose_events_can_not_be_read_answers_nevertheless(settings, monkeypatch):
    monkeypatch.setattr(ray_nodes, "HUNG_S", 0.5)
    monkeypatch.setattr(ray_nodes, "POLL_S", 0.1)
    reports: list[str] = []
    nodes = SleepingHead(settings, reports)
    address = ("127.0.0.1", dashboard_port(settings))
    with ThreadingHTTPServer(address, DashboardWithoutLogs) as dashboard:
        threading.Thread(target=dashboard.serve_forever, daemon=True).start()
        nodes.start()
        try:
            wait_for(lambda: reports)
            assert reports == ["Replicas: 0 of 1 running"]
        finally:
            nodes.stop()
            dashboard.shutdown()
