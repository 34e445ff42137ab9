"""`yivideo up`: it starts, watches and ends its programs."""

import json
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.cli.command import SAMPLES, free_port, run, settings
from tests.cli.up.running_services import RunningServices, speech
from tests.media.media_files import Sound, write_media
from tests.waiting import wait_for

pytestmark = pytest.mark.model

LOCATIONS = """{ version
  workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory, model_dir, tiny_weights):
    return settings(tmp_path_factory.mktemp("up"), model_dir)


@pytest.fixture(scope="module")
def processed(environment, tmp_path_factory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("out")
    return run(environment, "process", SAMPLES / "harbour-15s.mp4", "--output-dir", folder)


@pytest.fixture(scope="module")
def up(environment, processed):
    """The running services; the tests below use, end and start them in their order."""
    with RunningServices(environment) as services:
        yield services


def ask_service(up, path):
    with urllib.request.urlopen(f"{up.service_url}{path}", timeout=30) as response:
        return json.load(response)


def test_the_ui_answers_when_its_address_is_printed(up):
    assert up.printed[-1].startswith(f"Dagster's UI: {up.url}, the service: {up.service_url}"), up.printed
    answer = up.ask(LOCATIONS)
    assert answer["version"]
    assert answer["workspaceOrError"]["locationEntries"] == [
        {"name": "yivideo_pipeline", "locationOrLoadError": {"__typename": "RepositoryLocation"}}
    ]


def test_what_the_command_ran_is_listed(processed, up):
    assert processed.returncode == 0, processed.stdout
    (listed,) = up.runs()
    assert listed["status"] == "SUCCESS"
    made = {asset["key"]["path"][0] for asset in listed["assets"]}
    assert made == {"video", "audio", "transcript", "alignment", "subtitles"}


def test_a_partition_can_be_launched_from_the_ui(up):
    folder = Path(up.home, "inbox", "subtitles")
    run_id = up.launch(SAMPLES / "harbour-15s.mp4", folder)
    assert up.wait_for_end(run_id) == "SUCCESS"
    assert [file.name for file in folder.iterdir()] == ["harbour-15s.en.srt"]


def test_a_run_uses_the_service_and_loads_no_model_itself(up, tmp_path):
    assert ask_service(up, "/api/v1/model/usage")["loads"] == 0
    video = write_media(tmp_path / "new.mkv", [Sound(speech(length_s=20))])
    assert up.wait_for_end(up.launch(video)) == "SUCCESS"
    usage = ask_service(up, "/api/v1/model/usage")
    assert usage["loads"] == 1
    assert usage["audio_s"] == pytest.approx(20, abs=0.1)
    (backend,) = {
        document["made_by"]["backend"]
        for file in Path(up.home, "artifacts").rglob("*.json")
        if "http" in (document := json.loads(file.read_text())).get("made_by", {}).get("backend", "")
    }
    assert backend == f"faster-whisper at {up.service_url}"


def test_a_service_that_ends_is_restarted_and_the_others_go_on(up):
    service = up.wait_for_child("serve")
    service.kill()
    line = up.program.stdout.readline()
    assert line.startswith("The service ended with exit code -9; it restarts in 1 s."), line
    wait_for(lambda: up.wait_for_child("serve").pid != service.pid)

    def is_healthy() -> bool:
        assert up.program.poll() is None
        try:
            return ask_service(up, "/health")["status"] == "ok"
        except urllib.error.URLError:
            return False

    wait_for(is_healthy)


def test_a_taken_port_is_wrong_usage(up, environment, tmp_path):
    port = int(up.url.rpartition(":")[2])
    ended = run({**environment, "YIVIDEO_HOME": str(tmp_path)}, "up", "--port", str(port))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"Port {port} can't be used" in line
    assert f"--port {port + 1}" in line


def test_a_second_one_for_the_same_home_reports_where_the_first_is(up, environment):
    ended = run(environment, "up", "--port", str(free_port()))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"already runs for {environment['YIVIDEO_HOME']}" in line
    assert f"{up.url} (process {up.program.pid})" in line


def test_what_a_killed_one_left_running_is_ended_by_the_next(up):
    left = up.processes()
    assert len(left) >= 5
    up.program.kill()
    up.program.communicate()
    up.start()
    assert up.printed[0].startswith("Ended processes that a killed yivideo up had left running: "), up.printed
    assert psutil.wait_procs(left, timeout=5)[1] == []


def test_one_ctrl_c_ends_all_and_leaves_nothing(up):
    everything = up.processes()
    assert len(everything) >= 5
    assert up.stop() == "Stopping.\nStopped.\n"
    assert up.program.returncode == 0
    assert psutil.wait_procs(everything, timeout=5)[1] == []


def test_nothing_is_left_behind_where_nobody_reads_what_it_prints(up):
    up.start()
    everything = up.processes()
    assert len(everything) >= 5
    up.program.stdout.close()
    up.program.send_signal(signal.SIGINT)
    up.program.wait(60)
    assert psutil.wait_procs(everything, timeout=5)[1] == []


def test_one_that_ends_takes_the_others_with_it_and_the_reason_is_printed(up):
    up.start(wait=False)
    up.wait_for_child("code-server").kill()
    printed, _ = up.program.communicate(timeout=60)
    assert up.program.returncode == 1
    assert "The code-server ended with exit code -9" in printed
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{up.url}/server_info", timeout=2)
