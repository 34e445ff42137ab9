import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from command import SAMPLES, run, settings, start

pytestmark = pytest.mark.model

RUNS = """{ version
  runsOrError { ... on Runs { results { status jobName repositoryOrigin { repositoryLocationName }
                                        assets { key { path } } } } }
  workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"""

LAUNCH = """mutation ($parameters: ExecutionParams!) {
  launchPipelineExecution(executionParams: $parameters) { ... on LaunchRunSuccess { run { runId } } } }"""
REGISTER = """mutation ($where: RepositorySelector!, $key: String!) {
  addDynamicPartition(repositorySelector: $where, partitionsDefName: "videos", partitionKey: $key) {
    __typename } }"""
STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_up(environment, port, service_port=None):
    ports = ("--port", str(port), "--service-port", str(service_port or free_port()))
    return start(environment, "up", *ports, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def child_of(program, word):
    """The process that `yivideo up` started with this word in its command, as soon as it runs."""
    while True:
        assert program.poll() is None
        for child in psutil.Process(program.pid).children():
            if word in child.cmdline():
                return child
        time.sleep(0.05)


@pytest.fixture(scope="module")
def environment(tmp_path_factory, model_dir, tiny_weights):
    return settings(tmp_path_factory.mktemp("up"), model_dir)


@pytest.fixture(scope="module")
def processed(environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    return run(environment, "process", SAMPLES / "harbour-15s.mp4", "--output-dir", folder)


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def service_port():
    return free_port()


@pytest.fixture(scope="module")
def up(environment, processed, port, service_port):
    """The running services and the lines said so far."""
    program = start_up(environment, port, service_port)
    with program:
        said = []
        for line in program.stdout or ():
            said.append(line)
            if "http://" in line:
                break
        yield program, said
        program.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def ask(up, port):
    """Ask the webserver as the UI does."""

    def ask(query, **variables):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as told:
            return json.load(told)["data"]

    return ask


@pytest.fixture(scope="module")
def answer(ask):
    return ask(RUNS)


def test_the_ui_answers_when_its_address_is_told(up, port, answer):
    _, said = up
    assert said[-1].startswith(f"Dagster's UI: http://127.0.0.1:{port}, the service: http://127.0.0.1:"), said
    assert answer["version"]


def test_the_code_location_is_loaded_under_its_name(answer):
    assert answer["workspaceOrError"]["locationEntries"] == [
        {"name": "yivideo_pipeline", "locationOrLoadError": {"__typename": "RepositoryLocation"}}
    ]


def test_what_the_command_ran_is_listed(processed, answer):
    assert processed.returncode == 0, processed.stdout
    (listed,) = answer["runsOrError"]["results"]
    assert listed["status"] == "SUCCESS"
    assert listed["repositoryOrigin"]["repositoryLocationName"] == "yivideo_pipeline"
    made = {asset["key"]["path"][0] for asset in listed["assets"]}
    assert made == {"video", "audio", "transcript", "alignment", "subtitles"}


def launch(ask, answer, video, output_dir):
    """Launch a run of a video as the UI does, and wait for its end."""
    where = {"repositoryLocationName": "yivideo_pipeline", "repositoryName": "__repository__"}
    parameters = {
        "selector": {**where, "pipelineName": answer["runsOrError"]["results"][0]["jobName"]},
        "runConfigData": json.dumps({"resources": {"launch": {"config": {"output_dir": str(output_dir)}}}}),
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": str(video)}]},
    }
    ask(REGISTER, where=where, key=str(video))
    launched = ask(LAUNCH, parameters=parameters)["launchPipelineExecution"]
    status = None
    while status not in ("SUCCESS", "FAILURE", "CANCELED"):
        time.sleep(0.3)
        status = ask(STATUS, run=launched["run"]["runId"])["runOrError"]["status"]
    assert status == "SUCCESS"


def test_a_partition_can_be_launched_from_the_ui(ask, answer, tmp_path):
    launch(ask, answer, SAMPLES / "harbour-15s.mp4", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["harbour-15s.en.srt"]


def ask_service(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as told:
        return json.load(told)


def test_a_run_uses_the_service_and_loads_no_model_itself(ask, answer, environment, service_port, tmp_path):
    assert ask_service(service_port, "/api/v1/model/usage")["loads"] == 0
    video = tmp_path / "new.mkv"
    shutil.copyfile(SAMPLES / "lighthouse-60s.mkv", video)
    launch(ask, answer, video, tmp_path)
    usage = ask_service(service_port, "/api/v1/model/usage")
    assert usage["loads"] == 1
    assert usage["audio_s"] == pytest.approx(62, abs=0.1)
    (made,) = {
        document["made_by"]["backend"]
        for file in Path(environment["YIVIDEO_HOME"], "artifacts").rglob("*.json")
        if "http" in (document := json.loads(file.read_text())).get("made_by", {}).get("backend", "")
    }
    assert made == f"faster-whisper at http://127.0.0.1:{service_port}"


def test_a_service_that_ends_is_started_again_and_the_others_go_on(up, port, service_port, answer):
    program, _ = up
    service = child_of(program, "serve")
    service.kill()
    said = program.stdout.readline()
    assert said.startswith("The service ended with exit code -9; it starts again in 1 s."), said
    assert child_of(program, "serve").pid != service.pid
    while True:
        try:
            assert ask_service(service_port, "/health")["status"] == "ok"
            break
        except urllib.error.URLError:
            assert program.poll() is None
            time.sleep(0.1)


def test_a_taken_port_is_wrong_usage(up, environment, port, tmp_path):
    ended = run({**environment, "YIVIDEO_HOME": str(tmp_path)}, "up", "--port", str(port))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"Port {port} can't be used" in line
    assert f"--port {port + 1}" in line


def test_a_second_one_for_the_same_home_says_where_the_first_is(up, environment, port):
    program, _ = up
    ended = run(environment, "up", "--port", str(free_port()))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"runs already for {environment['YIVIDEO_HOME']}" in line
    assert f"http://127.0.0.1:{port} (process {program.pid})" in line


def test_one_ctrl_c_ends_all_and_leaves_nothing(up, answer):
    program, _ = up
    everything = psutil.Process(program.pid).children(recursive=True)
    assert len(everything) >= 5
    program.send_signal(signal.SIGINT)
    said = program.stdout.read()
    assert program.wait(60) == 0
    assert said == "Stopping.\nStopped.\n"
    assert psutil.wait_procs(everything, timeout=5)[1] == []


def test_nothing_is_left_behind_where_nobody_reads_what_it_says(environment, up):
    port = free_port()
    program = start_up(environment, port)
    while "http://" not in program.stdout.readline():
        assert program.poll() is None
    everything = psutil.Process(program.pid).children(recursive=True)
    assert len(everything) >= 5
    program.stdout.close()
    program.send_signal(signal.SIGINT)
    program.wait(60)
    assert psutil.wait_procs(everything, timeout=5)[1] == []


def test_what_a_killed_one_left_running_is_ended_by_the_next(environment, up):
    program = start_up(environment, free_port())
    while "http://" not in program.stdout.readline():
        assert program.poll() is None
    left = psutil.Process(program.pid).children(recursive=True)
    assert len(left) >= 5
    program.kill()
    program.communicate()
    with start_up(environment, free_port()) as following:
        said = []
        while "http://" not in "".join(said):
            said.append(following.stdout.readline())
            assert following.poll() is None, said
        following.send_signal(signal.SIGINT)
    assert said[0].startswith("Processes ended that a killed yivideo up had left: "), said
    assert psutil.wait_procs(left, timeout=5)[1] == []


def test_one_that_ends_takes_the_others_with_it_and_says_why(environment, up):
    port = free_port()
    program = start_up(environment, port)
    child_of(program, "code-server").kill()
    said, _ = program.communicate(timeout=60)
    assert program.returncode == 1
    assert "The code-server ended with exit code -9" in said
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=2)
