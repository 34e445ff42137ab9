"""Who is at work on what: the command, the API and the metrics tell the same."""

import json
import os
import socket

import pytest
from fastapi.testclient import TestClient

from tests.cli.command import call, settings
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.samples import RunOrigin
from yivideo_pipeline.service.app import create_app
from yivideo_pipeline.settings.load import load_settings


@pytest.fixture
def environment(home, model_dir):
    return settings(home, model_dir)


def test_each_process_at_work_is_told_by_command_api_and_metrics(environment, home):
    assert call(environment, "workers").stdout == "Nothing is being worked on.\n"
    workers = open_ledger(home).workers
    workers.begin("2024/[会议].mp4", "transcript", RunOrigin("run-1", "run-1"))
    workers.report("2024/[会议].mp4", 0.25)

    shown = call(environment, "workers").stdout
    for text in (socket.gethostname(), str(os.getpid()), "2024/[会议].mp4", "transcript", "25%", " s ago"):
        assert text in shown
    (told,) = json.loads(call(environment, "workers", "--json").stdout)["workers"]
    assert (told["host"], told["pid"], told["run_id"]) == (socket.gethostname(), os.getpid(), "run-1")

    app = create_app(load_settings(None, environment), None, False)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        (of_api,) = client.get("/api/v1/performance/workers").json()
        assert (of_api["key"], of_api["fraction"]) == (told["key"], told["fraction"])
        assert client.get("/api/v1/performance/system-health").json()["workers"][0]["key"] == told["key"]
        line = f'yivideo_at_work{{host="{socket.gethostname()}",stage="transcript"}} 1.0'
        assert line in client.get("/metrics").text
