import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

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
STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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
def up(environment, processed, port):
    """The running services, the lines said so far and everything that was started."""
    program = start(environment, "up", "--port", str(port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
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


def test_the_ui_answers_when_its_address_is_told(up, answer):
    _, said = up
    assert said[-1].startswith("Dagster's UI: http://127.0.0.1:"), said
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


def test_a_partition_can_be_launched_from_the_ui(ask, answer, tmp_path):
    where = {"repositoryLocationName": "yivideo_pipeline", "repositoryName": "__repository__"}
    parameters = {
        "selector": {**where, "pipelineName": answer["runsOrError"]["results"][0]["jobName"]},
        "runConfigData": json.dumps({"resources": {"launch": {"config": {"output_dir": str(tmp_path)}}}}),
        "mode": "default",
        "executionMetadata": {
            "tags": [{"key": "dagster/partition", "value": str(SAMPLES / "harbour-15s.mp4")}]
        },
    }
    launched = ask(LAUNCH, parameters=parameters)["launchPipelineExecution"]
    status = None
    while status not in ("SUCCESS", "FAILURE", "CANCELED"):
        time.sleep(0.3)
        status = ask(STATUS, run=launched["run"]["runId"])["runOrError"]["status"]
    assert status == "SUCCESS"
    assert [file.name for file in tmp_path.iterdir()] == ["harbour-15s.en.srt"]


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
    assert len(everything) >= 4
    program.send_signal(signal.SIGINT)
    said = program.stdout.read()
    assert program.wait(60) == 0
    assert said == "Stopping.\nStopped.\n"
    assert psutil.wait_procs(everything, timeout=5)[1] == []


def test_nothing_is_left_behind_where_nobody_reads_what_it_says(environment, up):
    port = free_port()
    program = start(environment, "up", "--port", str(port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while "http://" not in program.stdout.readline():
        assert program.poll() is None
    everything = psutil.Process(program.pid).children(recursive=True)
    assert len(everything) >= 4
    program.stdout.close()
    program.send_signal(signal.SIGINT)
    program.wait(60)
    assert psutil.wait_procs(everything, timeout=5)[1] == []


def test_what_a_killed_one_left_running_is_ended_by_the_next(environment, up):
    program = start(
        environment, "up", "--port", str(free_port()), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while "http://" not in program.stdout.readline():
        assert program.poll() is None
    left = psutil.Process(program.pid).children(recursive=True)
    assert len(left) >= 4
    program.kill()
    program.communicate()
    with start(
        environment, "up", "--port", str(free_port()), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as following:
        said = []
        while "http://" not in "".join(said):
            said.append(following.stdout.readline())
            assert following.poll() is None, said
        following.send_signal(signal.SIGINT)
    assert said[0].startswith("Processes ended that a killed yivideo up had left: "), said
    assert psutil.wait_procs(left, timeout=5)[1] == []


def test_one_that_ends_takes_the_others_with_it_and_says_why(environment, up):
    port = free_port()
    program = start(environment, "up", "--port", str(port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    code_server = None
    while code_server is None:
        assert program.poll() is None
        children = psutil.Process(program.pid).children()
        code_server = next((child for child in children if "code-server" in child.cmdline()), None)
        time.sleep(0.05)
    code_server.kill()
    said, _ = program.communicate(timeout=60)
    assert program.returncode == 1
    assert "The code-server ended with exit code -9" in said
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=2)
