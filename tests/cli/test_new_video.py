"""From a file that is copied into the inbox to its subtitles on disk, with no click."""

import json
import socket
import subprocess
import time
from shutil import copyfile

import pytest
from command import SAMPLES, run, settings, start

pytestmark = pytest.mark.model
PATIENCE_S = 120


@pytest.fixture
def environment(home, model_dir, tiny_weights):
    return settings(home, model_dir, YIVIDEO_LIBRARY__POLL_S="5", YIVIDEO_LIBRARY__SETTLE_S="1")


@pytest.fixture
def up(environment, home):
    """The services of a new home; they make the inbox."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = start(environment, "up", "--port", str(port), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with program:
        while "http://" not in program.stdout.readline():
            assert program.poll() is None
        yield program
        program.terminate()


def why(environment, file):
    return json.loads(run(environment, "why", file, "--json").stdout)


def test_a_video_in_the_inbox_gets_its_subtitles_and_the_command_knows_of_it(environment, home, up):
    video = home / "inbox" / "talk.mp4"
    copyfile(SAMPLES / "harbour-15s.mp4", video)
    (home / "inbox" / "half.mp4.part").write_bytes(b"\0" * 4096)
    deadline = time.monotonic() + PATIENCE_S
    while not (subtitles := video.with_name("talk.en.srt")).exists():
        assert time.monotonic() < deadline, "no subtitles came"
        time.sleep(0.2)
    assert "-->" in subtitles.read_text()
    while (told := why(environment, video))["action"] != "known":
        assert time.monotonic() < deadline, told
    assert {stage["made"]["stage"] for stage in told["stages"]} == {
        "video",
        "audio",
        "transcript",
        "alignment",
        "subtitles",
    }
    assert told["last_run"]["outcome"] == "subtitles were made"
    assert {stage["stale"] for stage in told["stages"]} == {None}
    logs = [file.read_text() for file in (home / "dagster").rglob("*.err")]
    assert any("talk.mp4: to be made. It is new and complete." in log for log in logs)
