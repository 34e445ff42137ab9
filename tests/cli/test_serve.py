"""`yivideo serve`: how it starts and ends, and how `yivideo process` uses it."""

import os
import signal
import socket
import subprocess
from contextlib import contextmanager

import httpx
import psutil
import pytest

from benchmarks.ports import free_port
from tests.service.server import (
    PATIENCE_S,
    PROGRAM,
    SAMPLES,
    Server,
    make_long_sound,
    run_server,
    wait_until_it_answers,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.model


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well_and_it_prints_so(home, model_dir, number):
    with run_server(home, model_dir) as server:
        everything = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(True)]
        assert (home / "inbox").is_dir(), "it takes uploads from the first start on"
        server.process.send_signal(number)
        printed, _ = server.process.communicate(timeout=PATIENCE_S)
    assert server.process.returncode == 0
    assert printed == f"yivideo serves {server.url} (Ctrl-C stops it)\nStopped.\n"
    assert psutil.wait_procs(everything, timeout=5)[1] == [], "nothing of it is left running"


def test_a_signal_while_it_starts_ends_it_well_too(home, model_dir):
    environment = {**os.environ, "YIVIDEO_HOME": str(home), "YIVIDEO_CACHE__MODEL_DIR": str(model_dir)}
    process = subprocess.Popen(
        [PROGRAM, "serve", "--port", str(free_port())],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        wait_for((home / "logs" / "yivideo.log").exists, poll_s=0.02)
        process.send_signal(signal.SIGTERM)
        printed = process.stdout.read()
    assert process.returncode == 0, printed
    assert printed.endswith("Stopped.\n")


def test_in_the_background_of_a_shell_ctrl_c_reaches_it(home, model_dir):
    port = free_port()
    environment = {**os.environ, "YIVIDEO_HOME": str(home), "YIVIDEO_CACHE__MODEL_DIR": str(model_dir)}
    script = f'"{PROGRAM}" serve --port {port} & echo $!; wait $!; echo "ended with $?"'
    shell = subprocess.Popen(["sh", "-c", script], env=environment, text=True, stdout=subprocess.PIPE)
    with shell:
        number = int(shell.stdout.readline())
        wait_until_it_answers(Server(f"http://127.0.0.1:{port}", shell, home))
        os.kill(number, signal.SIGINT)
        assert shell.stdout.read().endswith("Stopped.\nended with 0\n")


@contextmanager
def transcription(server, sound):
    """The open answer to a request that is in work."""
    with server.client() as client, sound.open("rb") as file:
        call = ("call.json", b'{"options": {"model_name": "tiny.en"}}', "application/json")
        parts = {"call": call, "sound": file}
        with client.stream("POST", "/v1/speech/transcribe/upload", files=parts) as answer:
            yield answer


def test_a_request_in_work_is_finished_first(home, model_dir, tiny_weights):
    with run_server(home, model_dir) as server:
        with transcription(server, SAMPLES / "harbour-15s.mp4") as answer:
            server.process.send_signal(signal.SIGINT)
            *_, last = answer.iter_lines()
        printed, _ = server.process.communicate(timeout=PATIENCE_S)
    assert '"event":"result"' in last
    assert server.process.returncode == 0
    assert "running requests have 30 s" in printed


def test_a_second_signal_ends_it_at_once(home, model_dir, tiny_weights, tmp_path):
    long = make_long_sound(tmp_path, minutes=10)
    with run_server(home, model_dir) as server, transcription(server, long) as answer:
        server.process.send_signal(signal.SIGINT)
        while "Stopping" not in server.process.stdout.readline():
            assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE_S) == 130
        with pytest.raises(httpx.HTTPError):
            answer.read()


def run_serve(home, *arguments, **more):
    environment = {**os.environ, "YIVIDEO_HOME": str(home), **more}
    return subprocess.run(
        [PROGRAM, "serve", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_other_machines_are_not_let_in_without_a_key(home):
    ended = run_serve(home, "--host", "0.0.0.0", "--port", str(free_port()))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "service.host 0.0.0.0 is open to other machines" in line
    assert "YIVIDEO_SERVICE__API_KEY" in line
    assert "--insecure" in line


def test_a_taken_port_is_wrong_usage(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_serve(home, "--port", str(port))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"Port {port} can't be used" in line


def process(home, model_dir, folder, url):
    """Make subtitles by the command, which uses a service."""
    environment = {
        **os.environ,
        "YIVIDEO_HOME": str(home),
        "YIVIDEO_CACHE__MODEL_DIR": str(model_dir),
        "YIVIDEO_SPEECH__MODEL_NAME": "tiny.en",
        "YIVIDEO_SPEECH__SERVICE_URL": url,
        "HF_HUB_OFFLINE": "1",
    }
    return subprocess.run(
        [PROGRAM, "process", SAMPLES / "harbour-15s.mp4", "--output-dir", folder],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_uses_a_service_that_answers(home, model_dir, tiny_weights, tmp_path):
    with run_server(tmp_path / "service", model_dir) as server, server.client() as client:
        before = client.get("/api/v1/model/usage").json()["audio_s"]
        ended = process(home, model_dir, tmp_path / "out", server.url)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert client.get("/api/v1/model/usage").json()["audio_s"] > before
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["harbour-15s.en.srt"]


def test_the_command_takes_its_own_model_where_no_service_answers(home, model_dir, tiny_weights, tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    ended = process(home, model_dir, tmp_path / "out", url)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"warning: the service at {url} did not answer" in ended.stdout
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["harbour-15s.en.srt"]
