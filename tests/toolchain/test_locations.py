"""The code location has one name everywhere: Dagster keeps the state of schedules and sensors by it."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from benchmarks.ports import free_port
from tests.waiting import TIMEOUT_S, wait_for
from yivideo_pipeline.stages import LOCATION

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"


@pytest.fixture
def environment(tmp_path):
    """Homes of their own for yivideo and Dagster."""
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    scrubbed = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**scrubbed, "YIVIDEO_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path / "dagster")}


def ask_for_locations(port: int) -> list[dict]:
    """Return the code locations that are loaded by now; none before the webserver answers."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": LOCATIONS}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            entries = json.load(response)["data"]["workspaceOrError"]["locationEntries"]
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return []
    return [entry for entry in entries if entry["loadStatus"] == "LOADED"]


def kill(program: subprocess.Popen) -> None:
    """Kill a program and all that it started: there is nothing to save, and a gentle end takes a while."""
    started = [psutil.Process(program.pid), *psutil.Process(program.pid).children(recursive=True)]
    for process in started:
        process.kill()
    psutil.wait_procs(started, timeout=10)


@pytest.mark.parametrize("target", [[], ["-w", "workspace.yaml"]], ids=["dagster dev", "workspace.yaml"])
def test_the_definitions_are_valid_and_the_location_has_its_name(environment, target):
    """Dagster's commands understand their targets alike, and this one starts no servers."""
    ended = subprocess.run(
        [PROGRAMS / "dagster", "definitions", "validate", *target],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert f"Validation successful for code location {LOCATION}." in ended.stdout


def test_the_location_has_the_same_name_where_dg_starts_dagster(environment, tmp_path):
    port = free_port()
    with (tmp_path / "output.txt").open("w+") as output:
        program = subprocess.Popen(
            [PROGRAMS / "dg", "dev", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            found = wait_for(lambda: ask_for_locations(port), poll_s=0.5)
        finally:
            kill(program)
            program.wait(10)
            output.seek(0)
            print(output.read())  # pytest shows it where the test fails
    assert [entry["name"] for entry in found] == [LOCATION]
