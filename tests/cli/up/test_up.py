"""`yivideo up`: it starts, watches and ends its programs, and no work is lost when one of them is killed.

The tests use, end and start the services in their order: a start takes ten seconds of processor time.
"""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import psutil
import pytest

from benchmarks.ports import free_port
from tests.cli.command import SAMPLES, run, settings
from tests.cli.up.running_services import RunningServices, speech
from tests.cli.up.work_in_progress import (
    Launched,
    assert_the_retry_finishes_the_video,
    assert_the_same_run_succeeds,
    launch_long,
    wait_for_work_in_the_run,
    wait_for_work_in_the_service,
)
from tests.media.media_files import Sound, write_media
from tests.service.server import run_server
from tests.waiting import TIMEOUT_S, wait_for
from yivideo_pipeline.defs.instance import open_instance

pytestmark = pytest.mark.model

LOCATIONS = """{ version
  workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }"""
LOADED = [{"name": "yivideo_pipeline", "locationOrLoadError": {"__typename": "RepositoryLocation"}}]
CODE_SERVER = "yivideo_pipeline.cli.code_server"
DAGSTER = (CODE_SERVER, "yivideo_pipeline.cli.webserver", "dagster._daemon")


@pytest.fixture(scope="module")
def environment(tmp_path_factory, model_dir, tiny_weights):
    # On a busy machine a killed service is not back within the three attempts that there are by default.
    patient = {"YIVIDEO_RETRY__MAX_ATTEMPTS": "20"}
    return settings(tmp_path_factory.mktemp("up"), model_dir, YIVIDEO_SPEECH__BATCH_SIZE="1", **patient)


@pytest.fixture(scope="module")
def processed(environment, tmp_path_factory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("out")
    return run(environment, "process", SAMPLES / "harbour-15s.mp4", "--output-dir", folder)


@pytest.fixture(scope="module")
def up(environment, processed):
    """The running services; the tests below use, end and start them in their order."""
    with RunningServices(environment) as services:
        yield services


def test_the_ui_answers_when_its_address_is_printed(up):
    assert up.printed[-1].startswith(f"Dagster's UI: {up.url}, the service: {up.service_url}"), up.printed
    answer = up.ask(LOCATIONS)
    assert answer["version"]
    assert answer["workspaceOrError"]["locationEntries"] == LOADED


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
    assert up.ask_service("/api/v1/model/usage")["loads"] == 0
    video = write_media(tmp_path / "new.mkv", [Sound(speech(length_s=20))])
    assert up.wait_for_end(up.launch(video)) == "SUCCESS"
    usage = up.ask_service("/api/v1/model/usage")
    assert usage["loads"] == 1
    assert usage["audio_s"] == pytest.approx(20, abs=0.1)
    (backend,) = {
        document["made_by"]["backend"]
        for file in Path(up.home, "artifacts").rglob("*.json")
        if "http" in (document := json.loads(file.read_text())).get("made_by", {}).get("backend", "")
    }
    assert backend == f"faster-whisper at {up.service_url}"


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        (f"?query={quote('mutation { __typename }')}", {}, 405),
        (f"?query={quote('{ version }')}", {"Host": "evil.com"}, 400),
        (f"?query={quote('{ version }')}", {}, 200),
    ],
    ids=["mutation by GET", "foreign host", "query"],
)
def test_a_page_of_another_site_can_drive_nothing_in_dagster_s_ui(up, query, headers, status):
    request = urllib.request.Request(f"{up.url}/graphql{query}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            assert response.status == status
    except urllib.error.HTTPError as refused:
        assert refused.code == status


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


def test_dagster_s_programs_are_restarted_when_they_are_killed(up):
    killed = {word: up.wait_for_child(word) for word in DAGSTER}
    for process in killed.values():
        process.kill()
    lines = {up.program.stdout.readline() for _ in killed}
    assert {line.partition(";")[0] for line in lines} == {
        f"The {name} ended with exit code -9" for name in ("code-server", "webserver", "daemon")
    }
    for word, process in killed.items():
        up.wait_for_child(word, other_than=process.pid)

    def is_loaded() -> bool:
        try:
            return up.ask(LOCATIONS)["workspaceOrError"]["locationEntries"] == LOADED
        except urllib.error.URLError:
            return False

    wait_for(is_loaded)


@dataclass(frozen=True)
class KilledService:
    """The service of a run's transcript, killed in the middle; what was printed; who waits for its return."""

    process: psutil.Process
    line: str
    launched: Launched


@pytest.fixture(scope="module")
def killed_service(up, tmp_path_factory) -> KilledService:
    # One more attempt at once: the start of a service takes longer.
    up.configure(retry={"max_attempts": 2, "base_delay_s": 0}, service_required=True)
    launched = launch_long(up, tmp_path_factory.mktemp("required"))
    service = up.wait_for_child("serve")
    wait_for_work_in_the_service(up.service_url, service)
    service.kill()
    return KilledService(service, up.program.stdout.readline(), launched)


def test_a_service_that_ends_is_restarted_and_the_others_go_on(up, killed_service):
    line = killed_service.line
    assert line.startswith("The service ended with exit code -9; it restarts in 1 s."), line
    up.wait_for_child("serve", other_than=killed_service.process.pid)

    def is_healthy() -> bool:
        assert up.program.poll() is None
        try:
            return up.ask_service("/health")["status"] == "ok"
        except urllib.error.URLError:
            return False

    wait_for(is_healthy)


def test_where_the_service_is_required_the_run_waits_until_it_is_back(up, killed_service):
    _, metadata = assert_the_same_run_succeeds(up, killed_service.launched)
    assert metadata["degradation"] == []
    usage = up.ask_service("/api/v1/model/usage")
    assert usage["loads"] == 1, "by the service that was started in its place"


@dataclass(frozen=True)
class Stopped:
    """What there was in the middle of a run when Ctrl-C was pressed, and what was printed from then on."""

    launched: Launched
    processes: list[psutil.Process]
    printed: str


@pytest.fixture(scope="module")
def stopped(up, tmp_path_factory) -> Stopped:
    launched = launch_long(up, tmp_path_factory.mktemp("stopped"))
    wait_for_work_in_the_service(up.service_url, up.wait_for_child("serve"))
    processes = up.processes()
    return Stopped(launched, processes, up.stop())


def test_one_ctrl_c_ends_all_and_leaves_nothing(up, stopped):
    assert len(stopped.processes) >= 5, "four programs and the run's"
    assert stopped.printed == "Stopping.\nStopped.\n"
    assert up.program.returncode == 0
    assert psutil.wait_procs(stopped.processes, timeout=5)[1] == []


def test_what_a_killed_one_left_running_is_ended_by_the_next(up, stopped):
    # From here on the runs' service is what the file says; a start gives its own where nobody says.
    up.configure(service_url=up.service_url)
    up.start(wait=False)
    for word in ("serve", CODE_SERVER):
        up.wait_for_child(word)
    left = up.processes()
    up.program.kill()
    up.program.communicate()
    up.start()
    assert up.printed[0].startswith("Ended processes that a killed yivideo up had left running: "), up.printed
    assert psutil.wait_procs(left, timeout=5)[1] == []


def test_what_a_stop_interrupts_is_continued_by_the_next_start(up, stopped):
    assert_the_retry_finishes_the_video(up, stopped.launched)


def test_without_the_service_the_run_goes_on_with_a_model_of_its_own_and_says_so(up, tmp_path, model_dir):
    (tmp_path / "videos").mkdir()
    with run_server(tmp_path / "service", model_dir) as server:
        up.configure(service_url=server.url)
        launched = launch_long(up, tmp_path / "videos")
        wait_for_work_in_the_service(server.url, psutil.Process(server.process.pid))
        server.process.kill()
        (_,), metadata = assert_the_same_run_succeeds(up, launched)
    assert metadata["degradation"] == [
        f"the service at {server.url} did not answer; the model was loaded in the run itself"
    ]


@pytest.fixture
def launched(up, tmp_path) -> Launched:
    """A run that loads the model itself."""
    up.configure(service_url=None)
    return launch_long(up, tmp_path)


def test_a_daemon_and_a_code_server_that_are_killed_in_mid_transcript_lose_no_run(up, launched):
    wait_for_work_in_the_run(up, launched.run_id)
    killed_at = time.time()
    for word in ("dagster._daemon", CODE_SERVER):
        up.wait_for_child(word).kill()
    assert_the_retry_finishes_the_video(up, launched, killed_at)


def test_after_a_crash_of_everything_the_next_start_finishes_the_video_once(up, launched):
    wait_for_work_in_the_run(up, launched.run_id)
    everything = [psutil.Process(up.program.pid), *up.processes()]
    for process in everything:
        process.kill()
    up.program.communicate()
    psutil.wait_procs(everything, timeout=10)
    with open_instance(up.home) as instance:
        assert instance.get_run_by_id(launched.run_id).status == dg.DagsterRunStatus.STARTED
    up.start()
    assert "Closed runs whose process is gone: 1. Dagster retries them.\n" in up.printed
    assert_the_retry_finishes_the_video(up, launched)


def test_nothing_is_left_behind_where_nobody_reads_what_it_prints(up):
    everything = up.processes()
    assert len(everything) >= 4
    up.program.stdout.close()
    up.program.send_signal(signal.SIGINT)
    up.program.wait(TIMEOUT_S)
    assert psutil.wait_procs(everything, timeout=5)[1] == []


def test_one_that_ends_takes_the_others_with_it_and_the_reason_is_printed(up):
    up.start(wait=False)
    up.wait_for_child(CODE_SERVER).kill()
    printed, _ = up.program.communicate(timeout=TIMEOUT_S)
    assert up.program.returncode == 1
    assert "The code-server ended with exit code -9" in printed
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{up.url}/server_info", timeout=2)
