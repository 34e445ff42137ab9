"""A changed profile, under the real daemon: the subtitles are rendered again, and nothing else is made."""

import json
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from shutil import copyfile

import dagster as dg
import pytest
from command import SAMPLES, run, settings, start

from yivideo_pipeline.cli.supervisor import wait_until
from yivideo_pipeline.defs.automation import SENSOR
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.stages import LOCATION

pytestmark = pytest.mark.model

SWITCH_ON = """mutation ($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port: int, query: str, **variables) -> dict:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as told:
        return json.load(told)["data"]


def widest_line(file: Path) -> int:
    return max(len(line) for line in file.read_text().splitlines() if "-->" not in line)


def test_a_changed_profile_renders_the_subtitles_again_once_the_sensor_is_on(
    tmp_path, model_dir, tiny_weights
):
    home, videos = tmp_path / "home", tmp_path / "videos"
    videos.mkdir()
    copyfile(SAMPLES / "harbour-15s.mp4", videos / "talk.mp4")
    environment = settings(home, model_dir)
    assert run(environment, "process", videos / "talk.mp4").returncode == 0
    (subtitles,) = videos.glob("*.srt")
    assert widest_line(subtitles) > 20
    port = free_port()
    narrow = {**environment, "YIVIDEO_SUBTITLES__MAX_CHARS_PER_LINE": "20"}
    program = start(narrow, "up", "--port", str(port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        while "http://" not in program.stdout.readline():
            assert program.poll() is None
        where = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__", "sensorName": SENSOR}
        assert ask(port, SWITCH_ON, sensor=where)["startSensor"]["__typename"] == "Sensor"
        assert wait_until(lambda: widest_line(subtitles) <= 20, 120)
    finally:
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)
    with open_instance(home) as instance:
        again = instance.get_runs(dg.RunsFilter(tags={"yivideo/trigger": "automation"}))
        assert [entry.asset_selection for entry in again] == [{dg.AssetKey("subtitles")}]
        made = instance.fetch_materializations(dg.AssetKey("transcript"), limit=5).records
        assert len(made) == 1
